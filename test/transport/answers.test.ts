// What is made of answers, whoever gives them: a web server or S3. Each request is made to both.

import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import {
  brotliCompressSync,
  createGzip,
  deflateSync,
  gzipSync,
  constants as zlib,
  zstdCompressSync,
} from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Transport } from '../../src/transport/transport.ts'
import { expectFailure, MIB, never, put } from './bed.ts'
import { type Answering, fakeServer } from './fake-server.ts'
import { PLACES, status } from './places.ts'

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

const text = (body: Buffer | string, headers: Record<string, string> = {}) => status(200, headers, body)
const inChunks = (...chunks: string[]): Answering => {
  return (_, response) => {
    for (const chunk of chunks) response.write(chunk)
    response.end()
  }
}
describe.each(Object.entries(PLACES))('over %s', (_, over) => {
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
    await expectFailure(asked, { says, isOfOneFile: true, isTrouble: true })
    expect(server.asked).toHaveLength(1)
  })

  test('what would unpack to far too much is not unpacked', async () => {
    const server = await fakeServer(text(bomb, { 'content-encoding': 'gzip' }))
    const before = process.resourceUsage().maxRSS
    const asked = over(server.url, (transport) => transport.get('x.narinfo', never))
    await expectFailure(asked, { says: /damaged, or far too large/, isOfOneFile: true, isTrouble: true })
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(100 * 1024)
  })

  test.each<[string, (zeros: Buffer) => Buffer]>([
    ['gzip', (zeros) => gzipSync(zeros)],
    ['deflate', (zeros) => deflateSync(zeros)],
    ['br', (zeros) => brotliCompressSync(zeros, { params: { [zlib.BROTLI_PARAM_QUALITY]: 1 } })],
    ['zstd', (zeros) => zstdCompressSync(zeros)],
  ])('nor what is a little too large in %s', async (encoding, pack) => {
    const packed = pack(Buffer.alloc(MIB + 1))
    const server = await fakeServer(text(packed, { 'content-encoding': encoding }))
    const asked = over(server.url, (transport) => transport.get('x.narinfo', never))
    await expectFailure(asked, { says: /damaged, or far too large/, isOfOneFile: true, isTrouble: true })
  })

  test.each<[string, (transport: Transport) => Promise<unknown>]>([
    ['GET', (transport) => transport.get('x.narinfo', never)],
    ['PUT', (transport) => put(transport, 'x.narinfo', Buffer.from('x'))],
  ])('an answer to a %s that does not end is not heard to its end', async (_, act) => {
    const server = await fakeServer((_asked, response) => endless(response))
    const says = /far too large.*1048576 bytes/
    await expectFailure(over(server.url, act), { says, isOfOneFile: true, isTrouble: true })
    expect(server.asked).toHaveLength(1)
  })
})
