// What a server answers to an upload, and where it sends us. One that misbehaves when told to.

import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { startMoodyCache } from '../../support/servers/moody-cache.ts'
import { freePort } from '../../support/servers/server-process.ts'
import { digestOf, expectFailure, makeFile, never, put, putText } from '../bed.ts'
import { httpBed } from './http-bed.ts'

const { dir, cache, transportTo } = await httpBed()

describe('redirections', () => {
  test('are followed for a GET, with the login kept to those whom it is for', async () => {
    const other = await startMoodyCache()
    await putText(transportTo(other.url), 'there.narinfo', 'there')
    other.calm()
    cache.behave({ status: 302, headers: { location: '/b.narinfo' } }, { path: /a\.narinfo/ })
    cache.behave({ status: 301, headers: { location: `${other.url}/there.narinfo` } }, { path: /b\.narinfo/ })
    const transport = transportTo(cache.url.replace('//', '//u:p@'))
    expect(await transport.get('a.narinfo', never)).toBe('there')
    expect(cache.seen.map((seen) => seen.authorization !== undefined)).toEqual([true, true])
    expect(other.seen.map((seen) => seen.authorization)).toEqual([undefined])
    await other.cleanup()
  })

  test('are followed for a PUT only where it is to be a PUT there too', async () => {
    const { body, digest } = await makeFile(join(dir, 'moved'), 2_000_000)
    cache.behave({ status: 307, headers: { location: '/new/a' } }, { path: /^\/nar\/a/ })
    cache.behave({ status: 302, headers: { location: '/new/b' } }, { path: /^\/nar\/b/ })
    const transport = transportTo(cache.url)
    expect(await put(transport, 'nar/a', body)).toMatchObject({ sent: body.size })
    expect(await digestOf(join(cache.dir, 'new/a'))).toBe(digest)
    await expectFailure(putText(transport, 'nar/b'), { says: /set the final URL.*302/ })
  })

  test('lead to another host with the login that the netrc file has for it, and with no other', async () => {
    const other = await startMoodyCache({ login: { user: 'reader', password: 'there' } })
    cache.behave({ status: 307, headers: { location: `${other.url}/moved.narinfo?signature=x` } })
    const netrcFile = join(dir, 'netrc')
    const at = async (netrc: string) => {
      await writeFile(netrcFile, netrc)
      return transportTo(cache.url.replace('//', '//me@').replace('127.0.0.1', 'localhost'), { netrcFile })
    }
    const ours = 'machine localhost login me password here\n'
    const refused = await at(`${ours}default login everybody password anywhere`)
    await expectFailure(putText(refused, 'x.narinfo'), { says: /401/ })
    expect(other.seen.map((seen) => seen.authorization)).toEqual([undefined])
    await putText(await at(`${ours}machine 127.0.0.1 login reader password there`), 'x.narinfo')
    expect(other.seen.at(-1)?.authorization).toBe(`Basic ${btoa('reader:there')}`)
    await other.cleanup()
  })

  test('that can’t be followed are named, without what is secret in them', async () => {
    cache.behave({ status: 302, headers: { location: 'https://u:p@elsewhere.example/x?signature=secret' } })
    await expectFailure(putText(transportTo(cache.url), 'x'), {
      says: /to PUT x: 302 \(moody\), and to go to https:\/\/elsewhere\.example\/x$/,
    })
  })

  test('that lead nowhere are an error', async () => {
    cache.behave({ status: 302, headers: { location: '/round.narinfo' } })
    await expectFailure(transportTo(cache.url).get('round.narinfo', never), { says: /too many redirects/ })
    expect(cache.seen).toHaveLength(6)
  })
})

describe('what a server answers', () => {
  test.each([
    [401, { says: /netrc-file.*: 401/ }],
    [403, { says: /rights.*: 403/, isOfOneFile: true }],
    [404, { says: /check the path in the URL.*: 404/ }],
    [405, { says: /dav_methods PUT.*: 405/ }],
    [413, { says: /client_max_body_size.*: 413/, isOfOneFile: true, blame: 'job', permanent: true }],
    [500, { says: /an internal problem.*: 500 \(Sorry, broken\)/, isOfOneFile: true, isTrouble: true }],
    [507, { says: /disk of the destination is full.*: 507/, isOfOneFile: true, isTrouble: true }],
    [422, { says: /refuses the upload.*PUT nar\/x: 422/, isOfOneFile: true }],
  ] as const)('%i to a PUT, before it has the body', async (status, expected) => {
    const { body } = await makeFile(join(dir, 'refused'), 5_000_000)
    cache.behave({ status, early: true, body: '<html><title>Sorry,\nbroken</title>' })
    const counts: number[] = []
    const upload = { name: 'nar/x', contentType: 'x/y', body }
    const uploading = transportTo(cache.url).put(upload, never, (count) => counts.push(count))
    await expectFailure(uploading, expected)
    expect(counts).toEqual([])
    expect(cache.seen.length).toBe(status === 500 ? 5 : 1)
  })

  test.each([200_000, 8_000_000])(
    'is kept where it closes the connection at once, %i bytes',
    async (size) => {
      const server = createServer((socket) => {
        socket.on('error', () => {})
        socket.once('data', () =>
          socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno'),
        )
      })
      const port = await freePort()
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
      const { body } = await makeFile(join(dir, 'slammed'), size)
      const uploading = put(transportTo(`http://127.0.0.1:${port}`), 'nar/x', body)
      await expectFailure(uploading, { says: /413 \(no\)/, isOfOneFile: true, blame: 'job', permanent: true })
      server.close()
    },
  )

  test('403 and 410 to a GET mean that there is no such file, 401 does not', async () => {
    const transport = transportTo(cache.url)
    for (const status of [403, 404, 410]) cache.behave({ status }, { path: new RegExp(`${status}`) })
    for (const name of ['403', '404', '410']) expect(await transport.get(name, never)).toBeUndefined()
    cache.behave({ status: 401 })
    await expectFailure(transport.get('x', never), { says: /does not know us/ })
  })
})
