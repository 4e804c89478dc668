// Nix runs the hook for what it builds into another store, too (`--store`, nixos-install), and says nothing of it.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  BUILT_HELLO,
  bed,
  built,
  type Environment,
  fake,
  HELLO,
  HELLO_DRV,
  left,
  NOTHING,
  runHook,
  SHELLS,
  STORE,
  theJob,
  theLine,
} from './bed.ts'

const GONE = join(STORE, `${'3'.repeat(32)}-gone`)
const GONE_DRV = `${GONE}.drv`

describe('what was built into another store', () => {
  test.each<{ what: string; env: Environment; named: string }>([
    { what: 'an output', env: { DRV_PATH: GONE_DRV, OUT_PATHS: GONE }, named: GONE },
    { what: 'an output of a derivation that is here', env: { ...BUILT_HELLO, OUT_PATHS: GONE }, named: GONE },
    { what: 'several', env: { OUT_PATHS: `${GONE} ${GONE}-doc` }, named: `${GONE} ${GONE}-doc` },
    {
      what: 'a derivation whose outputs Nix did not name',
      env: { DRV_PATH: GONE_DRV, OUT_PATHS: '' },
      named: GONE_DRV,
    },
  ])('is not queued, and the line says so: $what', async ({ env, named }) => {
    const here = bed()
    const result = await runHook(here, env)
    expect(result).toMatchObject({ stdout: '', exitCode: 0 })
    expect(theLine(result)).toBe(
      `nix-upload: not queued: ${env.DRV_PATH ?? env.OUT_PATHS}: not in the local store, so built into another one (--store): ${named}`,
    )
    expect(left(here)).toEqual(NOTHING)
    expect(await runHook(here, { ...env, NIX_UPLOAD_STRICT: '1' })).toMatchObject({ exitCode: 0 })
  })
})

describe.each(SHELLS)('with $name, what was built into another store', (shell) => {
  test('is not queued where nix-store knows its outputs from here', async () => {
    const here = bed()
    fake(here, 'nix-store', `echo ${GONE}`)
    const result = await runHook(here, { DRV_PATH: HELLO_DRV, OUT_PATHS: '' }, shell)
    expect(theLine(result)).toMatch(/^nix-upload: not queued: .* not in the local store/)
    expect(left(here)).toEqual(NOTHING)
  })

  test('is left out where other outputs of the same build are here, and the line says so', async () => {
    const here = bed()
    const env = { ...BUILT_HELLO, OUT_PATHS: `${GONE} ${HELLO}` }
    const result = await runHook(here, env, shell)
    const { name, text } = theJob(here)
    expect(theLine(result)).toBe(
      `nix-upload: queued ${name}, but without paths that are not in the local store: ${GONE}`,
    )
    expect(JSON.parse(text).outPaths).toEqual([HELLO])
    expect(Object.values(left(here).roots)).toEqual([HELLO])
    expect(await runHook(here, { ...env, NIX_UPLOAD_STRICT: '1' }, shell)).toMatchObject({ exitCode: 0 })
  })
})

test('a derivation that is gone is no reason not to queue its output', async () => {
  const here = bed()
  const drv = built(`${'4'.repeat(32)}-collected.drv`)
  rmSync(drv)
  expect(theLine(await runHook(here, { DRV_PATH: drv, OUT_PATHS: HELLO }))).toMatch(/^nix-upload: queued /)
})
