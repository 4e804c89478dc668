// Uploads by way of a real proxy. Which requests go that way: test/config/proxy.test.ts.

import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { startMoodyCache } from '../../support/servers/moody-cache.ts'
import { startTinyproxy } from '../../support/servers/tinyproxy.ts'
import { expectFailure, MIB, never, putText, stream } from '../bed.ts'
import { httpBed } from './http-bed.ts'

const CERTIFICATE = join(import.meta.dirname, '../../support/servers/self-signed.pem')

const { cache, transportTo } = await httpBed()
const secure = await startMoodyCache({ tls: true })
const [open, guarded] = await Promise.all([startTinyproxy(), startTinyproxy(['me', 'pass'])])
afterAll(async () => {
  await Promise.all([secure.cleanup(), open.stop(), guarded.stop()])
})

/** With nobody exempt, whatever the environment of the tests says. */
const through = <T>(proxy: string, use: () => Promise<T>) =>
  withEnvironment({ all_proxy: proxy, no_proxy: '', NIX_SSL_CERT_FILE: CERTIFICATE }, use)

describe.each([
  ['http', cache],
  ['https', secure],
] as const)('to %s', (_, server) => {
  test('what is small and what is streamed gets there, and is found there', async () => {
    await through(open.address, async () => {
      const transport = transportTo(server.url)
      await putText(transport, 'x.narinfo')
      const body = stream(6 * MIB)
      await transport.put({ name: 'nar/x', contentType: 'x', body }, never, () => undefined)
      expect(await transport.head('nar/x', never)).toEqual({ size: 6 * MIB })
      expect(await transport.get('y.narinfo', never)).toBeUndefined()
    })
  })

  test('a proxy that wants a login gets it', async () => {
    await through(`http://me:p%61ss@${guarded.address}`, () => putText(transportTo(server.url), 'x.narinfo'))
  })

  test('without one it is the proxy that complains', async () => {
    await through(guarded.address, async () => {
      await expectFailure(putText(transportTo(server.url), 'x.narinfo'), { says: /proxy on the way.*login/ })
    })
  })
})

test('of a wrong login, the password is not shown', async () => {
  // To plain requests this proxy says 401 then, as a cache would.
  await through(`http://me:wrong@${guarded.address}`, async () => {
    const action = putText(transportTo(secure.url), 'x.narinfo')
    const message = await expectFailure(action, { says: /proxy on the way.*login/ })
    expect(message).not.toContain('wrong')
  })
})

test('a proxy that can’t be used is named, and what to do', async () => {
  await through('socks5h://127.0.0.1:1080', async () => {
    await expect(putText(transportTo(cache.url), 'x')).rejects.toThrow(/all_proxy names a proxy at socks5h:/)
  })
})
