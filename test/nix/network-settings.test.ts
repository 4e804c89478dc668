// What Nix's configuration says to whoever uploads, with every Nix.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { networkSettings, readNetworkSettings } from '../../src/nix/network-settings.ts'
import { everyNix } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'
import { withEnvironment } from '../support/servers/failing-copy.ts'

// Those of whoever runs the tests.
for (const name of ['NIX_SSL_CERT_FILE', 'SSL_CERT_FILE']) vi.stubEnv(name, undefined)

describe.each(await everyNix())('with $name', (version) => {
  let nix: PrivateNix
  beforeAll(async () => {
    nix = await makePrivateNix(version, { name: 'network' })
  })
  afterAll(() => nix.cleanup())

  const isOld = version.version.startsWith('2.8')
  const isLix = version.name.startsWith('Lix')
  const read = (env: Record<string, string> = {}) =>
    withEnvironment({ ...nix.env, ...env }, readNetworkSettings)

  test('where nothing is set, only the netrc file has a place', async () => {
    const { netrcFile, connectTimeoutMs, connections } = (await read()) ?? {}
    expect({ netrcFile, connectTimeoutMs, connections }).toEqual({ netrcFile: join(nix.confDir, 'netrc') })
  })

  test('nix.conf counts, also before the variables, as for Nix', async () => {
    const own = await makePrivateNix(version, {
      name: 'network',
      settings: [
        'netrc-file = /from/nix.conf/netrc',
        'http-connections = 7',
        // Neither does every Nix know.
        ...(isOld ? [] : ['ssl-cert-file = /from/nix.conf/ca.pem']),
        ...(isLix ? [] : ['connect-timeout = 3']),
      ],
    })
    const env = { ...own.env, NIX_SSL_CERT_FILE: '/from/variable' }
    expect(await withEnvironment(env, readNetworkSettings)).toEqual({
      ...(isOld ? {} : { caFile: '/from/nix.conf/ca.pem' }),
      ...(isLix ? {} : { connectTimeoutMs: 3_000 }),
      netrcFile: '/from/nix.conf/netrc',
      connections: 7,
    })
    await own.cleanup()
  })

  test('so do the variables where nix.conf is silent, NIX_SSL_CERT_FILE first', async () => {
    const both = { NIX_SSL_CERT_FILE: '/first', SSL_CERT_FILE: '/second' }
    // That Nix has no such setting; whoever reads the file looks at the variables then.
    expect((await read(both))?.caFile).toBe(isOld ? undefined : '/first')
    expect((await read({ SSL_CERT_FILE: '/second' }))?.caFile).toBe(isOld ? undefined : '/second')
    expect(await read({ NIX_CONFIG: 'http-connections = 5' })).toMatchObject({ connections: 5 })
  })

  test('no limit is none', async () => {
    expect(await read({ NIX_CONFIG: 'http-connections = 0' })).not.toHaveProperty('connections')
  })
})

test('a Nix that is not there, or can’t read its configuration, has no answer', async () => {
  expect(await withEnvironment({ PATH: '/nowhere' }, readNetworkSettings)).toBeUndefined()
  const [version] = await everyNix()
  if (!version) throw new Error('there is no Nix to test with')
  const nix = await makePrivateNix(version, { name: 'network' })
  await writeFile(join(nix.confDir, 'nix.conf'), 'no setting\n')
  expect(await withEnvironment(nix.env, readNetworkSettings)).toBeUndefined()
  await nix.cleanup()
})

test('a Nix that had no answer is asked again a minute later, and one that had is not', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout'] })
  const [version] = await everyNix()
  if (!version) throw new Error('there is no Nix to test with')
  const nix = await makePrivateNix(version, { name: 'network' })
  expect(await withEnvironment({ PATH: '/nowhere' }, networkSettings)).toEqual({})
  expect(await withEnvironment(nix.env, networkSettings)).toEqual({})
  vi.advanceTimersByTime(60_000)
  vi.useRealTimers()
  const netrcFile = join(nix.confDir, 'netrc')
  expect(await withEnvironment(nix.env, networkSettings)).toMatchObject({ netrcFile })
  expect(await withEnvironment({ PATH: '/nowhere' }, networkSettings)).toMatchObject({ netrcFile })
  await nix.cleanup()
})
