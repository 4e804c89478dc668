// Slow: real uploads that fail for what is uploaded, with every release of Nix.

import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { failureOf } from '../../../src/delivery/failure.ts'
import { outputsOf } from '../../../src/nix/local-store.ts'
import { everyNix } from '../../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../../support/private-nix.ts'
import {
  type Expected,
  expectBlame,
  upload,
  withEnvironment,
  withoutPrivileges,
} from '../../support/servers/failing-copy.ts'
import { remoteNix } from '../../support/servers/remote-nix.ts'
import { type SshServer, startSshServer } from '../../support/servers/ssh-server.ts'

let server: SshServer
beforeAll(async () => {
  server = await startSshServer()
  return () => server.stop()
})

describe.each(await everyNix())("a job's own failure, with $name", (version) => {
  let nix: PrivateNix
  let cache: string
  let store: string
  let well: string

  beforeAll(async () => {
    nix = await makePrivateNix(version, { name: 'blame-job' })
    cache = `file://${join(nix.dir, 'cache')}`
    store = `local?root=${join(nix.dir, 'second')}&require-sigs=false`
    well = await build('well')
    return () => nix.cleanup()
  })

  async function build(name: string): Promise<string> {
    return (await nix.build({ name, deps: [{ name: `${name}-dependency` }] })).outPaths[0] ?? ''
  }

  async function buildDirectory(name: string): Promise<string> {
    const command = 'PATH=/usr/bin:/bin; mkdir -p $out/sub; echo text > $out/sub/text'
    const { outPaths } = await nix.build(
      `derivation { name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "${command}" ]; }`,
    )
    return outPaths[0] ?? ''
  }

  test('its path is gone', async () => {
    const gone = join(nix.storeDir, '00000000000000000000000000000000-gone')
    const expected: Expected = { blame: 'job', permanent: true, path: gone, says: /build it again/ }
    for (const to of [cache, store, 'http://127.0.0.1:9']) {
      await expectBlame(nix, { to, paths: [well, gone] }, expected)
    }
  })

  test('its derivation is gone', async () => {
    const drvPath = join(nix.storeDir, '00000000000000000000000000000000-gone.drv')
    const error = await withEnvironment(nix.env, () => outputsOf(drvPath).catch((error: unknown) => error))
    expect(failureOf(error)?.verdict).toMatchObject({ blame: 'job', permanent: true, path: drvPath })
  })

  test('its files are gone from the disk', async () => {
    const path = await build('vanished')
    await rm(path, { recursive: true })
    const expected: Expected = { blame: 'job', permanent: true, path, says: /nix-store --repair-path/ }
    for (const to of [cache, store]) await expectBlame(nix, { to, paths: [well, path] }, expected)
    const remote = await remoteNix(nix, 'remote', { settings: ['require-sigs = false'] })
    const env = { NIX_SSHOPTS: server.sshopts() }
    for (const to of [remote.ssh, remote.sshNg]) await expectBlame(nix, { to, paths: [path], env }, expected)
  })

  test('its content was changed: only a real store notices', async () => {
    const path = await build('changed')
    await chmod(path, 0o644)
    await writeFile(path, 'something else')
    const expected: Expected = { blame: 'job', permanent: true, path, says: /nix-store --verify-path/ }
    await expectBlame(nix, { to: store, paths: [well, path] }, expected)
    const remote = await remoteNix(nix, 'remote', { settings: ['require-sigs = false'] })
    const env = { NIX_SSHOPTS: server.sshopts() }
    for (const to of [remote.ssh, remote.sshNg]) await expectBlame(nix, { to, paths: [path], env }, expected)
  })

  test('it may not be read, or one of its directories', async () => {
    const within = withoutPrivileges()
    const file = await build('secret')
    const directory = await buildDirectory('secrets')
    const inside = join(directory, 'sub')
    const closed = [
      { path: file, what: file, mode: 0o000 },
      { path: directory, what: inside, mode: 0o000 },
      // It may be listed, and nothing in it be looked at.
      { path: directory, what: inside, mode: 0o444 },
    ]
    for (const { path, what, mode } of closed) {
      await chmod(what, mode)
      const expected: Expected = { blame: 'job', permanent: true, path, says: /may not read the path/ }
      await expectBlame(nix, { to: cache, paths: [well, path], within }, expected)
    }
  })

  test('it holds what is no file', async () => {
    const path = await buildDirectory('piped')
    await chmod(path, 0o755)
    await nix.run('mkfifo', [join(path, 'pipe')])
    const expected: Expected = { blame: 'job', permanent: true, says: /put a socket, a pipe/ }
    await expectBlame(nix, { to: cache, paths: [path] }, expected)
  })

  test('it is no file itself, or a dependency is none', async () => {
    const pipe = await build('pipe')
    const dependency = (await nix.run('nix-store', ['--query', '--references', pipe])).stdout
    const expected: Expected = { blame: 'job', permanent: true, says: /put a socket, a pipe/ }
    for (const odd of [pipe, dependency]) {
      await rm(odd)
      await nix.run('mkfifo', [odd])
      for (const to of [cache, store]) {
        const request = { to, paths: [well, pipe], silenceMs: 3_000 }
        await expectBlame(nix, request, { ...expected, path: odd })
      }
      await rm(odd)
      await nix.run('cp', [well, odd])
    }
  })

  test('its dependency is not there, and is not to go along', async () => {
    const path = await build('dependent')
    const dependency = (await nix.run('nix-store', ['--query', '--references', path])).stdout
    const request = { paths: [path], closure: false }
    await expectBlame(
      nix,
      { ...request, to: store },
      { blame: 'job', path: dependency, says: /a dependency that the destination lacks/ },
    )
    await upload(nix, { to: cache, paths: [path] })
  })
})
