import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { startMoodyCache } from '../../support/servers/moody-cache.ts'
import { freePort } from '../../support/servers/server-process.ts'
import { expectFailure, putText } from '../bed.ts'
import { httpBed } from './http-bed.ts'

const { cache, transportTo } = await httpBed()

test('goes through the proxy of the environment, unless the host is one of no_proxy', async () => {
  const to = 'http://cache.invalid/place'
  await withEnvironment({ http_proxy: cache.url, no_proxy: '' }, () => putText(transportTo(to), 'x.narinfo'))
  expect(cache.seen.map(({ path }) => path)).toEqual([`${to}/x.narinfo`])
  await withEnvironment({ http_proxy: cache.url, no_proxy: 'cache.invalid' }, async () => {
    await expectFailure(putText(transportTo(to), 'x.narinfo'), { says: /can't be resolved/ })
  })
})

describe('no answer at all', () => {
  test('nobody listens', async () => {
    const to = `http://127.0.0.1:${await freePort()}`
    await expectFailure(putText(transportTo(to), 'x'), { says: /does not accept connections.*ECONNREFUSED/ })
  })

  test('there is no such host', async () => {
    const action = putText(transportTo('http://no-such-host.invalid'), 'x')
    await expectFailure(action, { says: /can't be resolved: check its spelling/ })
  })

  test('it speaks http, not https', async () => {
    const action = putText(transportTo(cache.url.replace('http', 'https')), 'x')
    await expectFailure(action, { says: /is it http:\/\/ rather than https/ })
  })

  test('its certificate is not trusted, unless NIX_SSL_CERT_FILE or SSL_CERT_FILE says so', async () => {
    const secure = await startMoodyCache({ tls: true })
    await expectFailure(putText(transportTo(secure.url), 'x'), { says: /certificate.*not trusted/ })
    const file = join(import.meta.dirname, '../../support/servers/self-signed.pem')
    for (const [nix, others] of [
      [file, '/nowhere'],
      ['', file],
    ] as const) {
      const env = { NIX_SSL_CERT_FILE: nix, SSL_CERT_FILE: others }
      await withEnvironment(env, () => putText(transportTo(secure.url), 'x'))
    }
    await withEnvironment({ NIX_SSL_CERT_FILE: '/nowhere' }, async () => {
      await expect(putText(transportTo(secure.url), 'x')).rejects.toThrow(/CA certificates.*\/nowhere/)
    })
    await secure.cleanup()
  })
})
