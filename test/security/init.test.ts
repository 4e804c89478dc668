// What root's `init`, run once more, can be led to by whoever owns the spool. Needs root.

import { chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { directory } from '../../src/cli/init/step.ts'

const NOBODY = 65_534

test('it hands nothing over that a symlink in the place of a directory of the spool leads to', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-security-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const [spool, victim] = [join(dir, 'spool'), join(dir, 'victim')]
  for (const path of [spool, victim]) mkdirSync(path)
  chownSync(spool, NOBODY, NOBODY)
  symlinkSync(victim, join(spool, 'new'))
  const place = { path: spool, mode: 0o755, owner: 'nobody', below: ['tmp', 'new'], isOurs: true }
  await expect(directory({ root: '' }, place).perform()).rejects.toThrow(
    'new is not a directory, or it is a symlink',
  )
  expect(lstatSync(victim).uid).toBe(0)
  expect(lstatSync(join(spool, 'tmp')).uid).toBe(NOBODY)
})
