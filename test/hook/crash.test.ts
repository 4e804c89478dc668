// What is promised when, and what a death in between leaves (docs/SPOOL.md, T1 and C1 to C3).

import { describe, expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import {
  type Bed,
  BUILT_HELLO,
  bed,
  fake,
  HELLO,
  left,
  NOTHING,
  runHook,
  theJob,
  theLine,
  traceHook,
} from './bed.ts'

describe('T1: the order of what the hook does', () => {
  test('is: make the root, write the job, sync both, rename, sync new/, say so', async () => {
    const here = bed()
    const calls = await callsOf(here)
    const { name } = theJob(here)
    const at = {
      create: find(calls, `openat(`, `tmp>, "./`, 'O_CREAT|O_EXCL'),
      write: find(calls, `write(`, `{\\"version\\":1`),
      syncFile: find(calls, 'fsync(', `${here.spool}/tmp/`),
      root: find(calls, 'symlinkat(', HELLO),
      rename: find(calls, 'renameat2(', name),
      syncRoots: find(calls, 'fsync(', `<${here.gcroots}>`),
      syncNew: find(calls, 'fsync(', `<${here.spool}/new>`),
      say: find(calls, 'write(', `nix-upload: queued ${name}`),
    }
    const order = ['root', 'create', 'write', 'syncFile', 'syncRoots', 'rename', 'syncNew', 'say'] as const
    for (const [i, then] of order.entries()) {
      const first = order[i - 1] ?? then
      if (first === then) continue
      expect(at[first].end, `${first} has ended before ${then} begins`).toBeLessThan(at[then].begin)
    }
  })

  test('nothing is renamed or removed but the one rename', async () => {
    const here = bed()
    const names = (await callsOf(here)).map(({ call }) => call.slice(0, call.indexOf('(')))
    expect(names.filter((name) => /rename|link|rmdir/.test(name) && name !== 'readlink').sort()).toEqual([
      'renameat2',
      'symlinkat',
    ])
  })
})

describe('C1 to C3: killed', () => {
  const HOOK_DIES = 'kill -9 $PPID'
  /** A tool that kills the hook before or after it did its work. */
  const deadly = (tool: string, moment: 'before' | 'after') =>
    moment === 'before'
      ? `${HOOK_DIES}; exec /usr/bin/${tool} "$@"`
      : `/usr/bin/${tool} "$@"; ${HOOK_DIES}; exit 0`

  test.each([
    { when: 'before date', tool: 'date', script: deadly('date', 'before'), jobs: 0 },
    { when: 'after date', tool: 'date', script: deadly('date', 'after'), jobs: 0 },
    { when: 'before ln', tool: 'ln', script: deadly('ln', 'before'), jobs: 0 },
    { when: 'after ln', tool: 'ln', script: deadly('ln', 'after'), jobs: 0 },
    { when: 'before the job is synced', tool: 'sync', script: deadly('sync', 'before'), jobs: 0 },
    { when: 'after the job is synced', tool: 'sync', script: deadly('sync', 'after'), jobs: 0 },
    { when: 'after mv', tool: 'mv', script: deadly('mv', 'after'), jobs: 1 },
    {
      when: 'before new/ is synced',
      tool: 'dd',
      script: `cat >/dev/null; ${deadly('dd', 'before')}`,
      jobs: 1,
    },
    { when: 'after new/ is synced', tool: 'dd', script: deadly('dd', 'after'), jobs: 1 },
  ])('$when, it leaves $jobs jobs in new/, whole and rooted, and has promised nothing', async (death) => {
    const here = bed()
    fake(here, death.tool, death.script)
    const { stdout, exitCode } = await runHook(here)
    expect({ stdout, exitCode }).toEqual({ stdout: '', exitCode: 128 + 9 })
    const { new: jobs, tmp, roots } = left(here)
    expect(jobs).toHaveLength(death.jobs)
    expect(tmp.length).toBeLessThanOrEqual(1 - death.jobs)
    for (const name of jobs) {
      expect(JSON.parse(theJob(here).text)).toMatchObject({ outPaths: [HELLO] })
      expect(roots).toEqual({ [`${rootKey(name)}.${'1'.repeat(32)}`]: HELLO })
    }
  })
})

describe('when no process can be started, the build goes on', () => {
  test.each([1, 2, 3, 4, 5].flatMap((n) => [`${n}`, `${n}+`]))('from number %s', async (when) => {
    const here = bed()
    const inject = `inject=fork,vfork,clone,clone3:error=EAGAIN:when=${when}`
    const result = await traceHook(here, ['-e', 'trace=fork,vfork,clone,clone3', '-e', inject])
    expect(result.exitCode).toBe(0)
    const line = theLine(result)
    const { new: jobs } = left(here)
    // All or nothing, and said rightly.
    if (jobs.length === 0) expect(line).toMatch(/^nix-upload: (perhaps )?not queued/)
    else expect(line).toMatch(/^nix-upload: (queued|perhaps not queued: )/)
    const strict = { ...BUILT_HELLO, NIX_UPLOAD_STRICT: '1' }
    const again = await traceHook(bed(), ['-e', 'trace=fork,vfork,clone,clone3', '-e', inject], strict)
    expect(again.exitCode).toBe(/^nix-upload: queued [^,]*$/.test(theLine(again)) ? 0 : 1)
  })

  test('at the very first, it says so', async () => {
    const here = bed()
    const inject = 'inject=fork,vfork,clone,clone3:error=EAGAIN'
    const result = await traceHook(here, ['-e', 'trace=fork,vfork,clone,clone3', '-e', inject])
    expect(theLine(result)).toMatch(/^nix-upload: not queued: .*: the shell gave up, status 2$/)
    expect(left(here)).toEqual(NOTHING)
  })
})

interface Call {
  call: string
  begin: number
  end: number
}

/** The system calls of a run that matter for what is on disk, by when they began and ended. */
async function callsOf(here: Bed): Promise<Call[]> {
  const trace = 'trace=openat,write,fsync,fdatasync,/rename,/link,/rmdir'
  const { trace: log } = await traceHook(here, ['-y', '-s', '300', '-e', trace])
  const calls: Call[] = []
  const unfinished = new Map<string, Call>()
  for (const [at, line] of log.split('\n').entries()) {
    const [, pid = '', text = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const resumed = unfinished.get(pid)
    if (resumed && text.startsWith('<...')) {
      resumed.end = at
      unfinished.delete(pid)
    } else if (/^\w+\(/.test(text)) {
      const call = { call: text, begin: at, end: at }
      calls.push(call)
      if (text.endsWith('<unfinished ...>')) unfinished.set(pid, call)
    }
  }
  return calls
}

/** The one call that has all these in it. */
function find(calls: Call[], ...parts: string[]): Call {
  const found = calls.filter(({ call }) => parts.every((part) => call.includes(part)))
  if (found.length !== 1) {
    throw new Error(
      `${found.length} calls have ${parts.join(' and ')}:\n${calls.map(({ call }) => call).join('\n')}`,
    )
  }
  return found[0] as Call
}
