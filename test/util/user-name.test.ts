import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { publicKeyOf } from '../../src/nix/secret-key.ts'
import { noCredentials } from '../../src/transport/s3/no-credentials.ts'
import { userName } from '../../src/util/user-name.ts'

/** In no passwd file, as the user of many a container. Takes root. */
const NOBODY_KNOWN = 54_321

function asUserWithoutName(): void {
  process.seteuid?.(NOBODY_KNOWN)
  onTestFinished(() => process.seteuid?.(0))
}

test('this process’s user has the name that the machine knows', () => {
  expect(userName()).toBe(userInfo().username)
})

test('a user without a name is called by number', () => {
  asUserWithoutName()
  expect(() => userInfo()).toThrow()
  expect(userName()).toBe('54321')
})

test('also where the key can’t be read', () => {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-user-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'key'), 'secret', { mode: 0o600 })
  asUserWithoutName()
  expect(() => publicKeyOf(join(dir, 'key'))).toThrow(
    "secret-key-file can't be read by user 54321: permission denied",
  )
})

test('also where S3 finds no credentials, and has no home to look in', async () => {
  asUserWithoutName()
  vi.stubEnv('HOME', undefined)
  onTestFinished(() => void vi.unstubAllEnvs())
  const error = Object.assign(new Error('Could not load'), { name: 'CredentialsProviderError' })
  expect(String(await noCredentials(error, undefined))).toMatch(
    /the user 54321: set .*write ~\/\.aws\/credentials/,
  )
})
