// What is made of answers, whoever gives them: a web server or S3. Each request is made to both.

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { brotliCompressSync, createGzip, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { HttpTransport } from '../../src/transport/http/http-transport.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { expectFailure, failureOf, MIB, never, put, quickConcurrency, stream } from './bed.ts'
import { type Answering, fakeServer } from './fake-server.ts'
import { ANYBODY, withTransport } from './s3/s3-bed.ts'

async function overHttp<T>(url: string, use: (transport: Transport) => Promise<T>): Promise<T> {
  const transport = new HttpTransport({ to: url, progressTimeoutMs: 20_000, requests: quickConcurrency() })
  try {
    return await use(transport)
  } finally {
    transport.close()
  }
}

const overS3 = <T>(url: string, use: (transport: Transport) => Promise<T>) =>
  withTransport(`s3://cache?endpoint=${url}`, ANYBODY, use)

const PLACES = { http: overHttp, s3: overS3 }

let bomb: Buffer

/** A gzip of a megabyte that unpacks to a gigabyte. */
beforeAll(async () => {
  const gzip = createGzip({ level: 9 })
  const zeros = Buffer.alloc(16 * MIB)
  const chunks: Buffer[] = []
  gzip.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (let times = 0; times < 62; times++) if (!gzip.write(zeros)) await once(gzip, 'drain')
  gzip.end()
  await once(gzip, 'end')
  bomb = Buffer.concat(chunks)
  expect(bomb.length).toBeLessThan(MIB)
})

function endless(response: ServerResponse): void {
  const more = () => {
    while (!response.destroyed && response.write(Buffer.alloc(64 * 1024)));
  }
  response.on('drain', more)
  more()
}

const text = (body: Buffer | string, headers: Record<string, string> = {}): Answering => {
  return (_, response) => void response.writeHead(200, headers).end(body)
}
const inChunks = (...chunks: string[]): Answering => {
  return (_, response) => {
    for (const chunk of chunks) response.write(chunk)
    response.end()
  }
}
const status = (code: number, headers: Record<string, string> = {}, body = ''): Answering => {
  return (_, response) => void response.writeHead(code, headers).end(body)
}

describe.each(Object.entries(PLACES))('over %s', (kind, over) => {
  test.each<[string, Answering, string]>([
    ['nothing', text(''), ''],
    ['a text', text('StorePath: ü'), 'StorePath: ü'],
    ['a page', text('<html>no narinfo</html>', { 'content-type': 'text/html' }), '<html>no narinfo</html>'],
    ['what is no encoding', text('x', { 'content-encoding': 'Identity' }), 'x'],
    ['gzip', text(gzipSync('x'), { 'content-encoding': 'gzip' }), 'x'],
    ['gzip by its old name, in capitals', text(gzipSync('x'), { 'CONTENT-ENCODING': 'X-GZIP' }), 'x'],
    ['deflate', text(deflateSync('x'), { 'content-encoding': 'deflate' }), 'x'],
    ['brotli', text(brotliCompressSync('x'), { 'content-encoding': ' br ' }), 'x'],
    ['zstd', text(zstdCompressSync(Buffer.from('x')), { 'content-encoding': 'zstd' }), 'x'],
    ['chunks', inChunks('a', 'b'), 'ab'],
  ])('GET gives %s', async (_, answer, expected) => {
    const server = await fakeServer(answer)
    expect(await over(server.url, (transport) => transport.get('x.narinfo', never))).toBe(expected)
  })

  test.each<[string, Answering, RegExp]>([
    ['an encoding nobody knows', text('x', { 'content-encoding': 'xz' }), /encoding that can't be read.*xz/],
    ['what is not encoded', text('x', { 'content-encoding': 'gzip' }), /damaged, or far too large; gzip/],
  ])('GET fails for this file alone at %s', async (_, answer, says) => {
    const server = await fakeServer(answer)
    const asked = over(server.url, (transport) => transport.get('x.narinfo', never))
    await expectFailure(asked, { says, isOfOneFile: true })
    expect(server.asked).toHaveLength(1)
  })

  test('what would unpack to far too much is not unpacked', async () => {
    const server = await fakeServer(text(bomb, { 'content-encoding': 'gzip' }))
    const before = process.resourceUsage().maxRSS
    const asked = over(server.url, (transport) => transport.get('x.narinfo', never))
    await expectFailure(asked, { says: /damaged, or far too large/, isOfOneFile: true })
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(100 * 1024)
  })

  test.each<[string, (transport: Transport) => Promise<unknown>]>([
    ['GET', (transport) => transport.get('x.narinfo', never)],
    ['PUT', (transport) => put(transport, 'x.narinfo', Buffer.from('x'))],
  ])('an answer to a %s that does not end is not heard to its end', async (_, act) => {
    const server = await fakeServer((_asked, response) => endless(response))
    await expectFailure(over(server.url, act), { says: /does not speak the protocol.*1048576 bytes/ })
    expect(server.asked).toHaveLength(1)
  })

  test.each<[string, Answering, { size: number | undefined } | undefined]>([
    ['200', status(200, { 'content-length': '1234' }), { size: 1234 }],
    ['200 of nothing', status(200, { 'content-length': '0' }), { size: 0 }],
    ['200 without a length', status(200, { 'transfer-encoding': 'chunked' }), { size: undefined }],
    ['404', status(404), undefined],
    ['403', status(403), undefined],
  ])('HEAD: %s', async (_, answer, expected) => {
    const server = await fakeServer(answer)
    expect(await over(server.url, (transport) => transport.head('nar/x', never))).toEqual(expected)
    expect(server.asked).toMatchObject([{ method: 'HEAD' }])
  })

  test.each([
    [401, /does not know us/],
    [503, /overloaded|fewer requests/],
    [500, /trouble of its own/],
  ])('HEAD: %i is a failure', async (code, says) => {
    const server = await fakeServer(status(code, code === 503 ? { 'retry-after': '3600' } : {}))
    const asked = over(server.url, (transport) => transport.head('nar/x', never))
    expect(await saidOf(asked)).toMatch(says)
  })

  test('a PUT that is answered with a page all the same went through', async () => {
    const server = await fakeServer(status(200, {}, '<html>Thanks</html>'))
    expect(await over(server.url, (transport) => put(transport, 'a', Buffer.from('abc')))).toEqual({
      sent: 3,
      counts: [3],
    })
  })

  test('a file of nothing is a file', async () => {
    const server = await fakeServer(status(201))
    await over(server.url, (transport) => put(transport, 'a', Buffer.alloc(0)))
    await over(server.url, (transport) => put(transport, 'b', stream(0)))
    expect(server.asked.map(({ method, body }) => [method, body.length])).toEqual([
      ['PUT', 0],
      ['PUT', 0],
    ])
  })

  test('the words of a page are said, without the page', async () => {
    const server = await fakeServer(
      status(422, {}, '<html><title>Go\naway</title><body>please</body></html>'),
    )
    const message = await saidOf(over(server.url, (transport) => put(transport, 'a', Buffer.from('x'))))
    expect(message).toMatch(kind === 'http' ? /PUT a: 422 \(Go away\)$/ : /PUT a in cache: 422$/)
  })
})

const saidOf = async (action: Promise<unknown>) => (await failureOf(action)).verdict.message
