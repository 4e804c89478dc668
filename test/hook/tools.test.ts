// The hook with the tools of others than GNU, each first on PATH.

import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { type Bed, BUILT_HELLO, bed, HELLO, left, runHook, theJob, theLine, traceHook } from './bed.ts'

/** Programs that are all tools in one, and what the hook runs of them. */
const BOXES = [
  { name: 'busybox', program: '/usr/bin/busybox' },
  { name: 'uutils', program: '/usr/bin/coreutils' },
]
const USED = ['date', 'dd', 'ln', 'mv', 'sync']
const TOOLS = [...USED, 'od', 'printf', 'rm', 'timeout', 'tr']

/** The hook's environment with these tools before the machine's own. */
function withTools(here: Bed, program: string) {
  const directory = join(here.dir, 'tools')
  mkdirSync(directory)
  for (const tool of TOOLS) symlinkSync(program, join(directory, tool))
  return { ...BUILT_HELLO, PATH: `${directory}:${here.bin}:/usr/bin:/bin` }
}

test.each(BOXES)('$name is on this machine; npm test installs it', ({ program }) => {
  expect(existsSync(program)).toBe(true)
})

describe.each(BOXES)('with the tools of $name, a build', ({ program }) => {
  test('is queued, durable and rooted, in one line and by these tools', async () => {
    // dd of uutils takes what lies below /dev for a device, and syncs none.
    const here = bed('/var/tmp')
    const env = withTools(here, program)
    const { trace, ...result } = await traceHook(here, ['-e', 'trace=execve,fsync,sync,syncfs,rename'], env)
    const { name } = theJob(here)
    expect(result).toEqual({ stdout: `nix-upload: queued ${name}`, stderr: '', exitCode: 0 })
    const roots = { [`${rootKey(name)}.${'1'.repeat(32)}`]: HELLO }
    expect(left(here)).toEqual({ tmp: [], new: [name], roots })
    const run = [...trace.matchAll(/execve\("([^"]+)"/g)].map(([, path = '']) => path)
    for (const tool of USED) expect(run).toContain(join(here.dir, 'tools', tool))
    // The file before its rename, the directory after it.
    expect(trace).toMatch(/sync\(.*rename\(.*sync\(/s)
  })

  test('without a place for roots is queued, and the line says so', async () => {
    const here = bed()
    const env = { ...withTools(here, program), NIX_UPLOAD_GCROOTS: join(here.dir, 'gone') }
    const result = await runHook(here, { ...env, NIX_UPLOAD_STRICT: '1' })
    expect(result.exitCode).toBe(1)
    expect(theLine(result)).toMatch(
      /queued \S+, but its paths are not protected from garbage collection: there is no directory/,
    )
  })

  test('for which there is no spool is refused, and nothing is left', async () => {
    const here = bed()
    const env = { ...withTools(here, program), NIX_UPLOAD_SPOOL: join(here.dir, 'gone') }
    const result = await runHook(here, env)
    expect(result.exitCode).toBe(0)
    expect(theLine(result)).toMatch(/^nix-upload: not queued: .*there is no /)
    expect(left(here).roots).toEqual({})
  })
})
