// Small requests go by undici and others by Node's own client: whatever a server does, both say the same of it.

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { plainContext } from '../../../src/transport/attempt.ts'
import { Agents } from '../../../src/transport/http/agents.ts'
import { exchange } from '../../../src/transport/http/exchange.ts'
import type { HttpRequest } from '../../../src/transport/http/http-request.ts'
import { networkFailure } from '../../../src/transport/http/network-failure.ts'
import { nodeExchange } from '../../../src/transport/http/node-exchange.ts'
import { stallTimeout } from '../../../src/transport/stall-timeout.ts'
import { behindSilence } from './silent-port.ts'

const NO_PROXY = { PATH: process.env.PATH }

function agents(): Agents {
  const made = new Agents({ env: NO_PROXY })
  onTestFinished(() => made.close())
  return made
}

/** A server that says something whatever it is asked, and then closes the connection, or not. */
async function saying(text: string, act: (socket: Socket) => void = (socket) => socket.end()): Promise<URL> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(text, () => act(socket)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port')
  return new URL(`http://127.0.0.1:${address.port}/x?y=z`)
}

/** As those who ask do it. */
const patiently = (wanted: HttpRequest) =>
  stallTimeout(60_000)((attempt, context) => attempt(context))(
    ({ signal }) => exchange({ ...wanted, signal }),
    plainContext(wanted.signal, () => undefined),
  )

const CLIENTS = {
  undici: patiently,
  node: async (wanted: HttpRequest) => await nodeExchange(wanted, await wanted.agents.to(wanted.url)),
}
const stays = () => undefined
const CUT = { code: 'ECONNRESET', retry: 'at once', means: /broke off/ } as const

describe.each(Object.entries(CLIENTS))('by %s', (_, client) => {
  const ask = (url: URL, more: { signal?: AbortSignal; agents?: Agents; body?: string } = {}) => {
    const body = more.body === undefined ? undefined : Buffer.from(more.body)
    return client({
      method: more.body === undefined ? 'GET' : 'PUT',
      url,
      headers: { 'content-length': String(more.body?.length ?? 0) },
      agents: agents(),
      signal: new AbortController().signal,
      ...more,
      body,
    })
  }

  test.each<[string, string, { code: string; retry?: 'at once'; means: RegExp }]>([
    ['something else', 'SSH-2.0-OpenSSH_9.2\r\n', { code: 'HPE_', means: /does not speak the protocol/ }],
    ['nothing', '', CUT],
    ['half a head', 'HTTP/1.1 200 OK\r\nContent-', CUT],
    ['half of what it says is its length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', CUT],
    [
      'half of that on a connection that was to end',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhalf',
      CUT,
    ],
    ['chunks without an end', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n', CUT],
    [
      'chunks without an end on a connection that was to end',
      'HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
      CUT,
    ],
    [
      'a head without an end',
      `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}`,
      { code: 'HPE_HEADER_OVERFLOW', means: /does not speak the protocol/ },
    ],
    [
      'more than anybody asked for',
      `HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${'x'.repeat(17 << 20)}`,
      { code: 'EMSGSIZE', means: /far too large/ },
    ],
  ])('a server that says %s', async (_, text, { code, retry, means }) => {
    const error: unknown = await ask(await saying(text)).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: expect.stringMatching(new RegExp(`^${code}`)) })
    const failure = networkFailure(error, 'GET x')
    expect(failure?.verdict.message).toMatch(means)
    expect(failure?.retry).toBe(retry ?? 'never')
  })

  test.each([
    ['an answer', '', 200],
    ['one that it announces unasked', 'HTTP/1.1 100 Continue\r\n\r\n', 200],
    ['one that it is still working on', 'HTTP/1.1 102 Processing\r\n\r\n', 200],
  ])('%s is heard out', async (_, before, status) => {
    const head = 'HTTP/1.1 200 OK\r\nLocation: one\r\nLocation: two\r\nX-Y: z\r\nContent-Length: 4\r\n\r\n'
    const url = await saying(`${before}${head}text`, stays)
    for (const body of [undefined, 'body']) {
      const answer = await ask(url, body === undefined ? {} : { body })
      expect(answer).toMatchObject({ status, headers: { location: 'one', 'x-y': 'z' } })
      expect(answer.body.toString()).toBe('text')
    }
  })

  test('no longer wanted, it ends at once, whether there is a connection yet or not', async () => {
    for (const url of [await saying('', stays), await behindSilence()]) {
      const ended = new AbortController()
      const asked = ask(url, { signal: ended.signal }).catch((reason: unknown) => reason)
      setTimeout(() => ended.abort(new Error('no more')), 100)
      const began = performance.now()
      expect(await asked).toMatchObject({ message: 'no more' })
      expect(performance.now() - began).toBeLessThan(5_000)
      await expect(ask(url, { signal: ended.signal })).rejects.toThrow('no more')
    }
  })
})

test('a body that is read is sent by the client that can wait for leave to send it', async () => {
  const url = await saying('HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n', stays)
  const body = Readable.from([Buffer.from('body')])
  const headers = { 'content-length': '4' }
  const signal = new AbortController().signal
  expect(await exchange({ method: 'PUT', url, headers, body, agents: agents(), signal })).toEqual({
    status: 201,
    headers: { 'content-length': '0' },
    body: Buffer.alloc(0),
  })
  expect(body.destroyed).toBe(true)
})

test('undici is not asked where there is a proxy', async () => {
  const made = new Agents({ env: { http_proxy: 'http://127.0.0.1:1', no_proxy: 'near.example' } })
  onTestFinished(() => made.close())
  const dispatcherTo = async (url: string) => await (await made.to(new URL(url))).dispatcher()
  expect(await dispatcherTo('http://far.example')).toBeUndefined()
  expect(await dispatcherTo('http://near.example')).toBeDefined()
  expect(await dispatcherTo('https://far.example')).toBeDefined()
})
