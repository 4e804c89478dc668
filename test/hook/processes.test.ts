import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { runProgram } from '../support/run.ts'
import { BUILT_HELLO, bed, HELLO, HELLO_DOC, HELLO_DRV, HOOK, runScript, traceHook } from './bed.ts'

/** The programs that a run of the hook starts, itself left out. */
async function programs(more = BUILT_HELLO): Promise<string[]> {
  const { trace } = await traceHook(bed(), ['-e', 'trace=execve', '-e', 'status=successful'], more)
  const started = [...trace.matchAll(/execve\("([^"]+)"/g)].map(([, path = '']) => basename(path))
  return started.filter((name) => name !== basename(HOOK)).sort()
}

test('the hook starts five processes', async () => {
  expect(await programs()).toEqual(['date', 'dd', 'ln', 'mv', 'sync'])
})

test('every further output is one more', async () => {
  const built = { DRV_PATH: HELLO_DRV, OUT_PATHS: `${HELLO} ${HELLO_DOC}` }
  expect(await programs(built)).toEqual(['date', 'dd', 'ln', 'ln', 'mv', 'sync'])
})

test('the hook never lists a directory: a million jobs are as quick as none', async () => {
  const { trace } = await traceHook(bed(), ['-e', 'trace=getdents64,getdents'])
  expect(trace).toBe('')
})

test('its output ends when it ends: no child holds it open', async () => {
  const here = bed()
  // As Nix waits: for the end of the output, here with stdout and stderr in one pipe.
  const script = `"$HOOK" 2>&1 | { cat >/dev/null; date +%s%N; } & wait; date +%s%N`
  const [ended = '0', returned = '0'] = (await runScript(here, script)).stdout.split('\n')
  expect(Math.abs(Number(returned) - Number(ended)) / 1e6).toBeLessThan(1000)
})

test('no child outlives it', async () => {
  const here = bed()
  const script = `set -m; "$HOOK" & wait "$!"; ps -o pid= -g "$!" | wc -l`
  expect((await runScript(here, script)).stdout.split('\n').at(-1)?.trim()).toBe('0')
})

test('shellcheck has nothing to say', async () => {
  const result = await runProgram('shellcheck', [HOOK], { env: { PATH: process.env.PATH ?? '' } })
  expect(result).toEqual({ stdout: '', stderr: '', exitCode: 0 })
})
