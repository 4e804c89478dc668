// `credential:NAME` stands for a file that systemd hands to the service.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { refuseMissingCredentials } from '../../src/config/credential.ts'
import { loadConfig } from '../../src/config/load.ts'

async function load(toml: string, env: Record<string, string>) {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const config = join(dir, 'config.toml')
  await writeFile(config, toml)
  return (await loadConfig({ config }, env)).destinations[0]
}

const TOML = `[[destination]]
to = "https://cache.example"
secret-key-file = "credential:cache.key"
netrc-file = "credential:netrc"
`

test('in a service it is a file in the directory of its credentials', async () => {
  const destination = await load(TOML, { CREDENTIALS_DIRECTORY: '/run/credentials/x.service' })
  expect(destination).toMatchObject({
    secretKeyFile: '/run/credentials/x.service/cache.key',
    netrcFile: '/run/credentials/x.service/netrc',
  })
  expect(() => refuseMissingCredentials(destination ? [destination] : [])).not.toThrow()
})

test('elsewhere it can be loaded, for looking, but not used', async () => {
  const destination = await load(TOML, {})
  expect(destination).toMatchObject({ secretKeyFile: 'credential:cache.key' })
  expect(() => refuseMissingCredentials(destination ? [destination] : [])).toThrow(
    /destination "default": "credential:cache.key" is a credential/,
  )
})

test('a plain file is what it is in a service too', async () => {
  const toml = '[[destination]]\nto = "file:///c"\nsecret-key-file = "/etc/nix/key"\n'
  const destination = await load(toml, { CREDENTIALS_DIRECTORY: '/run/credentials/x.service' })
  expect(destination).toMatchObject({ secretKeyFile: '/etc/nix/key' })
})

test.each(['credential:', 'credential:../key', 'credential:a/b', 'credential:.x'])(
  '%s is no name',
  async (name) => {
    const toml = `[[destination]]\nto = "file:///c"\nsecret-key-file = "${name}"\n`
    await expect(load(toml, {})).rejects.toThrow(/expected a file, an absolute path, or "credential:NAME"/)
  },
)
