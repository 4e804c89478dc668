// Nix 2.8, and --check and --rebuild in 2.30 and 2.31, give the hook a derivation and an empty OUT_PATHS.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import {
  bed,
  fake,
  HELLO,
  HELLO_DOC,
  HELLO_DRV,
  JOB_OF_HELLO,
  left,
  runHook,
  SHELLS,
  theJob,
  theLine,
} from './bed.ts'

const NO_OUTPUTS = { DRV_PATH: HELLO_DRV, OUT_PATHS: '' }
const DRV_HASH = '0'.repeat(32)

describe.each(SHELLS)('with $name, a build whose outputs Nix did not name', (shell) => {
  test('is looked up', async () => {
    const here = bed()
    fake(here, 'nix-store', `echo "$@" >"${here.dir}/asked"; echo ${HELLO}; echo ${HELLO_DOC}`)
    const { exitCode, stdout } = await runHook(here, { ...NO_OUTPUTS, NIX_UPLOAD_STRICT: '1' }, shell)
    expect(exitCode).toBe(0)
    const { name, text } = theJob(here)
    expect(readFileSync(join(here.dir, 'asked'), 'utf8')).toBe(`--query --outputs ${HELLO_DRV}\n`)
    expect(stdout).toBe(`nix-upload: queued ${name}`)
    expect(name).toMatch(JOB_OF_HELLO)
    expect(JSON.parse(text)).toMatchObject({ drvPath: HELLO_DRV, outPaths: [HELLO, HELLO_DOC] })
    expect(left(here).roots).toEqual({
      [`${rootKey(name)}.${'1'.repeat(32)}`]: HELLO,
      [`${rootKey(name)}.${'2'.repeat(32)}`]: HELLO_DOC,
    })
  })

  test.each([
    { how: 'there is no nix-store', script: undefined, why: 'there is no nix-store on PATH' },
    { how: 'nix-store fails', script: 'echo "error: boom" >&2; exit 1', why: 'nix-store does not know them' },
    { how: 'nix-store says nothing', script: 'exit 0', why: 'nix-store names none' },
    { how: 'nix-store talks nonsense', script: `echo ${HELLO}; echo nonsense`, why: 'nix-store names none' },
    { how: 'nix-store is ended', script: 'kill -9 $$', why: 'nix-store took too long' },
  ])(
    'is queued by its derivation, which is rooted, where $how; and the line says so',
    async ({ script, why }) => {
      const here = bed()
      if (script !== undefined) fake(here, 'nix-store', script)
      const result = await runHook(here, NO_OUTPUTS, shell)
      const { name, text } = theJob(here)
      expect(result.exitCode).toBe(0)
      expect(theLine(result)).toBe(
        `nix-upload: queued ${name}, but only the derivation is protected from garbage collection, ` +
          `its outputs are unknown: ${why}`,
      )
      expect(text).toMatch(/^\{"version":1,"drvPath":"[^"]+","outPaths":\[\],"queuedAt":"[^"]+"\}\n$/)
      expect(left(here)).toEqual({
        tmp: [],
        new: [name],
        roots: { [`${rootKey(name)}.${DRV_HASH}`]: HELLO_DRV },
      })
    },
  )
})

test('strict: that outputs are not protected is a failure, though the job is queued', async () => {
  const here = bed()
  expect(await runHook(here, { ...NO_OUTPUTS, NIX_UPLOAD_STRICT: '1' })).toMatchObject({ exitCode: 1 })
  expect(left(here).new).toHaveLength(1)
})

test('where no roots are wanted, nothing is amiss without outputs', async () => {
  const here = bed()
  const result = await runHook(here, { ...NO_OUTPUTS, NIX_UPLOAD_GCROOTS: '', NIX_UPLOAD_STRICT: '1' })
  expect(result).toEqual({ stdout: `nix-upload: queued ${theJob(here).name}`, stderr: '', exitCode: 0 })
})

test('a nix-store that hangs is waited for 5 seconds, and ended with all that it started', async () => {
  const here = bed()
  const mark = `1${Date.now()}`
  fake(here, 'nix-store', `trap '' TERM; sleep ${mark} & sleep ${mark}; sleep ${mark}`)
  const begun = Date.now()
  const result = await runHook(here, NO_OUTPUTS)
  // The hook's output has ended too, which is what Nix waits for.
  expect(Date.now() - begun).toBeGreaterThan(4_900)
  expect(Date.now() - begun).toBeLessThan(15_000)
  expect(theLine(result)).toMatch(/: nix-store took too long$/)
  expect(await running(mark)).toEqual([])
})

test('nix-store is not asked where Nix named the outputs', async () => {
  const here = bed()
  fake(here, 'nix-store', `touch "${here.dir}/asked"; sleep 60`)
  await runHook(here)
  expect(() => readFileSync(join(here.dir, 'asked'))).toThrow('ENOENT')
})

/** The command lines of processes that have that word in it. */
async function running(word: string): Promise<string[]> {
  const { readdir, readFile } = await import('node:fs/promises')
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.split('\0').includes(word))
}
