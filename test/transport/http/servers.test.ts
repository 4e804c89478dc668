// Servers that people put a cache behind. docs/SERVERS.md says which were tried here.

import { afterAll, describe, expect, test } from 'vitest'
import { startNginx } from '../../support/servers/nginx.ts'
import { startApache, startCaddy, startLighttpd } from '../../support/servers/web-servers.ts'
import { expectFailure, MIB, never, putText, stream } from '../bed.ts'
import { httpBed } from './http-bed.ts'

const { cache, transportTo } = await httpBed()
const [nginx, behind, makesNone] = await Promise.all([
  startNginx(),
  startNginx(),
  startNginx({ location: 'dav_methods PUT;' }),
])
const [apache, lighttpd, caddy] = await Promise.all([startApache(), startLighttpd(), startCaddy(behind.url)])
const all = [nginx, behind, makesNone, apache, lighttpd, caddy]
afterAll(() => Promise.all(all.map((server) => server.stop())))

describe.each([
  ['nginx', nginx],
  ['Apache with mod_dav', apache],
  ['lighttpd with mod_webdav', lighttpd],
  ['Caddy before nginx', caddy],
] as const)('%s', (_, { url }) => {
  test('takes and has all that a cache is made of, in directories that nobody made before', async () => {
    const transport = transportTo(url)
    expect(await transport.get('nix-cache-info', never)).toBeUndefined()
    await putText(transport, 'nix-cache-info')
    // Of an empty cache, many come at once.
    const upload = (at: number) => ({ name: `nar/${at}`, contentType: 'x', body: stream((at + 1) * MIB) })
    await Promise.all([0, 1, 2, 5].map((at) => transport.put(upload(at), never, () => undefined)))
    expect(await transport.head('nar/5', never)).toEqual({ size: 6 * MIB })
    expect(await transport.head('nar/9', never)).toBeUndefined()
    for (const _time of ['first', 'again']) await putText(transport, 'x.narinfo')
    expect(await transport.get('x.narinfo', never)).toBeDefined()
    await putText(transport, 'log/x.drv')
  })
})

test('nginx that makes no directories says 500, and the error what to set', async () => {
  const transport = transportTo(makesNone.url)
  await putText(transport, 'x.narinfo')
  const says = /create_full_put_path is missing in nginx.*PUT nar\/x: 500/
  await expectFailure(putText(transport, 'nar/x'), { says, isOfOneFile: true, isTrouble: true })
})

test('a conflict that no new directory ends is told as one, and not tried again and again', async () => {
  for (const status of [201, 405]) {
    cache.calm()
    cache.behave({ status: 409 }, { method: 'PUT' })
    cache.behave({ status }, { path: /nar\/$/ })
    const says = /refuses the upload as a conflict.*PUT nar\/x: 409/
    await expectFailure(putText(transportTo(cache.url), 'nar/x'), { says, isOfOneFile: true })
    expect(cache.seen.map(({ method }) => method)).toEqual(
      status === 201 ? ['PUT', 'MKCOL', 'PUT'] : ['PUT', 'MKCOL'],
    )
  }
})
