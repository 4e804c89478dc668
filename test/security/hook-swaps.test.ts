// Root's hook writes into directories that belong to the service's user. Here that user is malicious: the hook is
// stopped behind each system call of its shell and of each of its tools, and what lies in the spool is exchanged for
// something that leads elsewhere. Whatever the hook then says of the job, root must not have been led anywhere: nothing
// outside of the spool is opened, made, changed or removed, and nothing is copied.
//
// All points with PROOF=1 (`npm run proof`), a share otherwise. The swaps are those that the owner of the
// spool can make.

import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Bed, bed, environment, HOOK } from '../hook/bed.ts'
import { evidence, IS_WHOLE, spread, twoAtATime } from '../proof/share.ts'
import { type Point, pointsOf } from '../proof/strace.ts'
import { runStopped, type Stopped } from './stopped.ts'

const isRoot = process.geteuid?.() === 0
const NOBODY = 65534
const EVIL = 'of the attacker'
const PROCESSES = ['sh', 'date', 'ln', 'sync', 'mv', 'dd'] as const
const SHARE = { sh: 10, date: 1, ln: 2, sync: 6, mv: 6, dd: 3 }

interface Ground extends Bed {
  /** A directory and a file of root's, which nothing may happen to. */
  victim: string
  bait: string
  /** On another filesystem, where a rename becomes a copy. */
  elsewhere: string
}

const SWAPS: Record<string, (ground: Ground) => void> = {
  'tmp/ for a symlink': (ground) => swap(ground, 'tmp', ground.victim),
  'new/ for a symlink': (ground) => swap(ground, 'new', ground.victim),
  'tmp/ for another filesystem with files of the same names': (ground) => {
    for (const name of readdirSync(join(ground.spool, 'tmp')))
      writeFileSync(join(ground.elsewhere, name), EVIL)
    swap(ground, 'tmp', ground.elsewhere)
  },
  'the file for a symlink': ({ spool, bait }) => {
    for (const path of readdirSync(join(spool, 'tmp')).map((name) => join(spool, 'tmp', name))) {
      rmSync(path)
      symlinkSync(bait, path)
    }
  },
}

function swap({ spool }: Ground, name: string, target: string): void {
  renameSync(join(spool, name), join(spool, `${name}.old`))
  symlinkSync(target, join(spool, name))
}

function makeGround(): Ground {
  const here = bed()
  const elsewhere = mkdtempSync('/dev/shm/nix-upload-')
  onTestFinished(() => rmSync(elsewhere, { recursive: true, force: true }))
  const ground = { ...here, victim: join(here.dir, 'victim'), bait: join(here.dir, 'bait'), elsewhere }
  mkdirSync(ground.victim)
  writeFileSync(ground.bait, 'bait')
  for (const path of ['', 'tmp', 'new', 'cur', 'done', 'failed']) {
    if (isRoot) chownSync(join(ground.spool, path), NOBODY, NOBODY)
  }
  return ground
}

/** Runs the hook with one of its processes under strace, and stops that one at a point. */
function hookStopped(
  ground: Ground,
  process: string,
  at: Point | undefined,
  act: () => void,
): Promise<Stopped> {
  const log = join(ground.dir, 'trace')
  const inject = at ? `-e inject=${at.kind}:signal=SIGSTOP:when=${at.nth}` : ''
  const strace = `/usr/bin/strace -qq -y -s 300 -o ${log} -e trace=all ${inject}`
  if (process !== 'sh') {
    writeFileSync(join(ground.bin, process), `#!/bin/sh\nexec ${strace} /usr/bin/${process} "$@"\n`)
    chmodSync(join(ground.bin, process), 0o755)
  }
  const command = process === 'sh' ? `exec ${strace} /bin/sh ${HOOK}` : `/bin/sh ${HOOK}; exit $?`
  return runStopped(['/bin/sh', '-c', command], environment(ground), log, act)
}

/** That root was not led anywhere. */
function isUnharmed(ground: Ground, { stdout, stderr, exitCode, trace }: Stopped, where: string): void {
  expect(exitCode, where).toBe(0)
  expect(`${stdout}${stderr}`, where).toMatch(/^nix-upload: (queued|not queued)[ -~]*\n$/)
  expect(readdirSync(ground.victim), where).toEqual([])
  expect(readFileSync(ground.bait, 'utf8'), where).toBe('bait')
  for (const name of readdirSync(ground.elsewhere)) {
    expect(readFileSync(join(ground.elsewhere, name), 'utf8'), where).toBe(EVIL)
  }
  for (const name of ['new', 'new.old', 'tmp.old'].map((each) => join(ground.spool, each))) {
    if (!existsSync(name) || lstatSync(name).isSymbolicLink()) continue
    for (const file of readdirSync(name).map((each) => join(name, each))) {
      if (lstatSync(file).isFile()) expect(readFileSync(file, 'utf8'), where).not.toBe(EVIL)
    }
  }
  const opened = trace.split('\n').filter((line) => /^open/.test(line) && !/O_PATH/.test(line))
  for (const led of [ground.victim, ground.bait, ground.elsewhere]) {
    expect(
      opened.filter((line) => line.slice(line.lastIndexOf(' = ')).includes(led)),
      where,
    ).toEqual([])
  }
}

test('stopped at any system call, with the spool exchanged under it', {
  timeout: IS_WHOLE ? 3_600_000 : 120_000,
}, async () => {
  for (const program of PROCESSES) {
    const whole = await hookStopped(makeGround(), program, undefined, () => undefined)
    const calls = whole.trace.split('\n').filter((line) => /^\w+\(/.test(line))
    // Neither before there is a program nor behind its last call.
    const inside = pointsOf(calls).filter(({ kind }) => kind !== 'execve' && kind !== 'exit_group')
    const points = spread(inside, SHARE[program])
    const kinds = Object.entries(SWAPS)
    const cases = points.flatMap((point, at) =>
      kinds.filter((_, which) => IS_WHOLE || which === at % kinds.length).map((kind) => ({ point, kind })),
    )
    let hit = 0
    await twoAtATime(cases, async ({ point, kind: [name, exchange] }) => {
      const ground = makeGround()
      const stopped = await hookStopped(ground, program, point, () => exchange(ground))
      if (stopped.isHit) hit++
      isUnharmed(ground, stopped, `${program}, ${point.kind} ${point.nth}, ${name}:\n${stopped.stderr}`)
    })
    evidence(
      `swaps under the hook's ${program}: ${calls.length} calls, ${hit} of ${cases.length} swaps made in time`,
    )
    expect(hit).toBeGreaterThanOrEqual(cases.length * 0.8)
  }
})
