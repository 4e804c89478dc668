// Uploads to a machine behind ssh, and into a store beside ours: signed before, since these take what they trust.

import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { makeSite, type Site } from '../integration/site.ts'
import { remoteNix } from '../support/servers/remote-nix.ts'
import { type SshServer, startSshServer } from '../support/servers/ssh-server.ts'
import { versions } from './bed.ts'

let server: SshServer
beforeAll(async () => {
  server = await startSshServer()
  return () => server.stop()
})

/** Queues an app of which the dependency was never signed. */
async function queueApp(site: Site) {
  await site.makeSpool()
  const { outPaths } = await site.nix.build({ name: 'app', deps: [{ name: 'library' }] })
  const closure = (await site.nix.run('nix-store', ['-qR', ...outPaths])).stdout.split('\n')
  expect(closure).toHaveLength(2)
  const [name = ''] = await site.enqueue(outPaths)
  return { name, closure }
}

/** The paths of a store that are signed with a key, as the store itself says. */
async function signedAt(site: Site, to: string, paths: string[], keyName: string): Promise<string[]> {
  const info = await site.nix.run('nix', ['path-info', '--sigs', '--store', to, ...paths])
  const lines = info.stdout.split('\n').filter((line) => line.match(`\\s${keyName}:`))
  return lines.map((line) => line.split(/\s/)[0] ?? '')
}

describe.each(versions)('with $name', (version) => {
  test.each(['ssh', 'sshNg'] as const)('%s takes a signed closure', async (scheme) => {
    const site = await makeSite(version)
    const key = await site.nix.keyPair('far.example-1')
    const settings = [`trusted-public-keys = ${key.publicKey}`, 'require-sigs = true']
    const remote = await remoteNix(site.nix, 'remote', { settings })
    const { name, closure } = await queueApp(site)
    const env = { NIX_SSHOPTS: server.sshopts() }
    const destination = `[[destination]]\nto = "${remote[scheme]}"\n`
    const drain = async (more: string) =>
      site.run(['drain', ...(await site.configured(destination + more))], { env })

    if (scheme === 'sshNg') {
      expect(await drain('')).toMatchObject({ exitCode: 75 })
      const { attempts, error } = await site.delivery('new', name)
      expect({ attempts, error }).toMatchObject({
        attempts: 0,
        error: expect.stringMatching(/^the destination trusts no signature on the path: set secret-key-file/),
      })
    }
    expect(await drain(`secret-key-file = "${key.secretKeyFile}"\n`)).toMatchObject({ exitCode: 0 })
    const there = `local?root=${remote.root}`
    expect((await signedAt(site, there, closure, 'far.example-1')).sort()).toEqual(closure.sort())
    expect((await signedAt(site, 'local', closure, 'far.example-1')).sort()).toEqual(closure.sort())
  })

  test('ssh: verify reports what somebody else left there unsigned', async () => {
    const site = await makeSite(version)
    const { secretKeyFile } = await site.nix.keyPair('far.example-1')
    const { ssh } = await remoteNix(site.nix, 'remote', { settings: ['require-sigs = false'] })
    await queueApp(site)
    const drain = async (more: string) => {
      const destination = `[[destination]]\nto = "${ssh}"\nmax-attempts = 1\n${more}`
      const config = await site.configured(destination)
      return site.run(['drain', ...config], { env: { NIX_SSHOPTS: server.sshopts() } })
    }
    expect(await drain('')).toMatchObject({ exitCode: 0 })
    await site.run(['requeue', ...site.names('done')])
    const { exitCode, stderr } = await drain(`secret-key-file = "${secretKeyFile}"\nverify = true\n`)
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/does not take our signature on .*ssh:\/\/ takes none later on, ssh-ng:\/\/ does/)
  })

  test('local?root= takes a signed closure, or no closure but what it has the dependencies of', async () => {
    const site = await makeSite(version)
    const key = await site.nix.keyPair('near.example-1')
    const root = join(site.nix.dir, 'beside')
    const to = `local?root=${root}`
    const { name, closure } = await queueApp(site)
    const env = { NIX_CONFIG: `trusted-public-keys = ${key.publicKey}` }
    const drain = async (more: string) => {
      const destination = `[[destination]]\nto = "${to}"\nsecret-key-file = "${key.secretKeyFile}"\n`
      return site.run(['drain', ...(await site.configured(destination + more))], { env })
    }

    expect(await drain('closure = false\n')).toMatchObject({ exitCode: 75 })
    const { attempts, error } = await site.delivery('new', name)
    expect({ attempts, error }).toMatchObject({
      attempts: 1,
      error: expect.stringMatching(/dependency that the destination lacks.*-library/),
    })
    expect(await drain('')).toMatchObject({ exitCode: 0 })
    expect((await signedAt(site, to, closure, 'near.example-1')).sort()).toEqual(closure.sort())

    // The dependency is there now, so its dependents can go alone.
    const { outPaths } = await site.nix.build({ name: 'other', deps: [{ name: 'library' }] })
    await site.enqueue(outPaths)
    expect(await drain('closure = false\n')).toMatchObject({ exitCode: 0 })
    expect(await signedAt(site, to, outPaths, 'near.example-1')).toEqual(outPaths)
  })
})
