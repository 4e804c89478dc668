// Streams of which nobody knows beforehand how long they are.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { HttpTransport } from '../../../src/transport/http/http-transport.ts'
import type { Transport } from '../../../src/transport/transport.ts'
import { type Nginx, startNginx } from '../../support/servers/nginx.ts'
import { digestOf, digestOfBody, expectFailure, MIB, put, quickConcurrency, sha256, stream } from '../bed.ts'
import { type Answering, fakeServer } from '../fake-server.ts'

let nginx: Nginx

beforeAll(async () => {
  nginx = await startNginx()
  return () => nginx.stop()
})

const opened: Transport[] = []

afterEach(() => {
  for (const transport of opened.splice(0)) transport.close()
})

function open(to: string): Transport {
  const transport = new HttpTransport({ to, progressTimeoutMs: 20_000, requests: quickConcurrency() })
  opened.push(transport)
  return transport
}

test.each([0, 1, 500_000, 20 * MIB])('one of %i bytes comes to nginx in chunks, as it was', async (size) => {
  const body = stream(size)
  expect(await put(open(nginx.url), `nar/of-${size}`, body)).toMatchObject({ sent: size })
  expect(await digestOf(join(nginx.root, `nar/of-${size}`))).toBe(await digestOfBody(body))
})

test.each([0, 100_000, 20 * MIB])('one that throws after %i bytes leaves nothing at nginx', async (size) => {
  const error = new Error('not as it was built')
  const counts: number[] = []
  const upload = { name: 'bad/x', contentType: 'x/y', body: stream(size, { error }) }
  const uploading = open(nginx.url).put(upload, new AbortController().signal, (count) => counts.push(count))
  await expect(uploading).rejects.toBe(error)
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(0)
  const file = join(nginx.root, 'bad/x')
  await expect.poll(() => readdirSync(join(nginx.root, '..', 'client_body'))).toEqual([])
  expect(existsSync(file)).toBe(false)
})

test.each([
  ['fewer', 1000, 2000, /was cut short while it was sent: 1000 of 2000 bytes/],
  ['more', 2000, 1000, /went on after its 1000 bytes/],
])('one of %s bytes than was said is not sent, and that is not made again', async (_, bytes, size, says) => {
  const server = await fakeServer((_asked, response) => void response.writeHead(201).end())
  let opens = 0
  const { atMost, open: begin } = stream(bytes, { chunkBytes: 500 })
  const body = {
    atMost,
    size,
    open: (signal: AbortSignal) => {
      opens++
      return begin(signal)
    },
  }
  await expect(put(open(server.url), 'nar/x', body)).rejects.toThrow(says)
  expect(opens).toBe(1)
  expect(server.asked).toEqual([])
})

/** Takes no body of which it isn't told the length. */
const wantsLength =
  (status: number): Answering =>
  ({ headers }, response) => {
    response.writeHead(headers['content-length'] === undefined ? status : 201).end()
  }

test.each([411, 400, 501, 505])('a server that wants to know the length says %i, once', async (status) => {
  const server = await fakeServer(wantsLength(status))
  const transport = open(server.url)
  const body = stream(2 * MIB)
  const digest = await digestOfBody(body)
  for (const name of ['a', 'b']) expect(await put(transport, name, body)).toMatchObject({ sent: 2 * MIB })
  const seen = server.asked.map(({ url, headers }) => [
    url,
    headers['transfer-encoding'],
    headers['content-length'],
  ])
  expect(seen).toEqual([
    ['/a', 'chunked', undefined],
    ['/a', undefined, `${2 * MIB}`],
    ['/b', undefined, `${2 * MIB}`],
  ])
  expect(server.asked.slice(1).map(({ body }) => sha256(body))).toEqual([digest, digest])
})

test('one that refuses it also with a length means something else', async () => {
  const server = await fakeServer((_, response) => void response.writeHead(400).end('bad name'))
  const putting = put(open(server.url), 'a', stream(1000))
  await expectFailure(putting, { says: /refuses the upload.*400 \(bad name\)/, isOfOneFile: true })
  expect(server.asked).toHaveLength(2)
})

test('what went out before the server sends us elsewhere is not counted twice', async () => {
  const server = await fakeServer(({ url }, response) => {
    if (url === '/b') response.writeHead(201).end()
    else response.writeHead(307, { location: '/b' }).end()
  })
  for (const body of [Buffer.alloc(300_000), stream(300_000)]) {
    expect(await put(open(server.url), 'a', body)).toMatchObject({ sent: 300_000 })
  }
})

test('a server that does not know Expect is not asked again, also by those that were under way', async () => {
  const server = await fakeServer(({ headers }, response) => {
    response.writeHead(headers.expect === undefined ? 201 : 417).end()
  })
  const transport = open(server.url)
  const all = ['a', 'b', 'c'].map((name) => put(transport, name, stream(2 * MIB)))
  for (const { sent } of await Promise.all(all)) expect(sent).toBe(2 * MIB)
  await put(transport, 'd', stream(2 * MIB))
  expect(server.asked.filter(({ url }) => url === '/d')).toHaveLength(1)
})
