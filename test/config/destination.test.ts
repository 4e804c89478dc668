import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Destination } from '../../src/config/config.ts'
import { isCredential, refuseMissingCredentials, withCredentials } from '../../src/config/credential.ts'
import { loadConfig } from '../../src/config/load.ts'
import { tempDir } from '../spool/temp-spool.ts'

const S3 = '[[destination]]\nto = "s3://cache"\n'

/** The destinations that a file describes. */
async function load(toml: string, env: NodeJS.ProcessEnv = {}): Promise<Destination[]> {
  const config = join(tempDir(), 'config.toml')
  writeFileSync(config, toml)
  return (await loadConfig({ config }, env)).destinations
}

test('several destinations keep their order and their own settings', async () => {
  const destinations = await load(`${S3}name = "a"\nbatch-size = 7\n${S3}name = "b"\n`)
  expect(destinations).toMatchObject([
    { name: 'a', batchSize: 7 },
    { name: 'b', batchSize: 500 },
  ])
})

test('a command gets the paths as arguments, or on stdin, and may do without the closure', async () => {
  const command = '[[destination]]\ncommand = ["attic", "push", "main"]\nclosure = false\n'
  const argv = ['attic', 'push', 'main']
  expect(await load(command)).toMatchObject([
    { to: 'attic push main', command: { argv, paths: 'arguments' } },
  ])
  expect(await load(`${command}paths = "stdin"`)).toMatchObject([{ command: { argv, paths: 'stdin' } }])
  expect(await load('[[destination]]\ncommand = ["s3"]\nclosure = false')).toMatchObject([{ closure: false }])
})

describe('a credential of systemd’s, credential:NAME', () => {
  const toml = `${S3}secret-key-file = "credential:cache.key"\nnetrc-file = "/etc/netrc"\n`

  test('is the file of that name that the service gets', async () => {
    const destinations = await load(toml, { CREDENTIALS_DIRECTORY: '/run/credentials/x' })
    const files = { secretKeyFile: '/run/credentials/x/cache.key', netrcFile: '/etc/netrc' }
    expect(destinations).toMatchObject([files])
    expect(() => refuseMissingCredentials(destinations)).not.toThrow()
  })

  test('may be named by who looks only, and is refused to who delivers and has none', async () => {
    const destinations = await load(toml)
    expect(destinations).toMatchObject([{ secretKeyFile: 'credential:cache.key' }])
    expect(() => refuseMissingCredentials(destinations)).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/^destination "default": "credential:cache\.key" is a credential, /),
        exitCode: 78,
      }),
    )
  })

  test('changes nothing in a destination that has none', async () => {
    const [destination] = await load(S3)
    expect(destination && withCredentials(destination, '/run/credentials/x')).toEqual(destination)
    expect(() => refuseMissingCredentials(destination ? [destination] : [])).not.toThrow()
  })

  test.each<[value: string, expected: boolean]>([
    ['credential:key', true],
    ['credential:my-cache.key_1', true],
    ['credential:', false],
    ['credential:../key', false],
    ['credential:.key', false],
    ['credential:a/b', false],
    ['credential:a\n', false],
    ['/credential:key', false],
    ['Credential:key', false],
  ])('%j: %o', (value, expected) => {
    expect(isCredential(value)).toBe(expected)
  })
})
