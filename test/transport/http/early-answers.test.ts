// Servers that answer before they have the file: that all is well, or that they don't take it.

import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { HttpTransport } from '../../../src/transport/http/http-transport.ts'
import { expectFailure, MIB, makeFile, put, quickConcurrency, stream, temporaryDirectory } from '../bed.ts'

const opened: HttpTransport[] = []

afterEach(() => {
  for (const transport of opened.splice(0)) transport.close()
})

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port')
  return address.port
}

/** Answers as soon as it has seen the headers of a request; then it reads on, or closes the connection. */
async function hastyServer({ readsOn }: { readsOn: boolean }) {
  const seen = { bytes: 0, requests: 0 }
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (head) => {
      seen.requests++
      seen.bytes += head.length - head.indexOf('\r\n\r\n') - 4
      const connection = readsOn ? 'keep-alive' : 'close'
      socket.write(`HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: ${connection}\r\n\r\n`)
      if (!readsOn) socket.end()
      else
        socket.on('data', (bytes) => {
          seen.bytes += bytes.length
        })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const requests = quickConcurrency()
  const to = `http://127.0.0.1:${portOf(server)}`
  const transport = new HttpTransport({ to, progressTimeoutMs: 20_000, requests })
  opened.push(transport)
  return { seen, transport }
}

describe.each([
  ['in memory', Buffer.alloc(2 * MIB, 'x')],
  ['a stream of unknown length', stream(20 * MIB)],
  ['a short stream of unknown length', stream(1000)],
])('of a file that is %s', (name, body) => {
  test('all is sent after a good answer that came instead of leave to send it', async () => {
    const { seen, transport } = await hastyServer({ readsOn: true })
    const { sent } = await put(transport, 'nar/x', body)
    await expect.poll(() => seen.bytes).toBeGreaterThanOrEqual(sent)
    expect(sent).toBe(Buffer.isBuffer(body) ? body.length : name.includes('short') ? 1000 : 20 * MIB)
  })
})

test('a good answer is none where the server closes the connection before it has all', async () => {
  const { seen, transport } = await hastyServer({ readsOn: false })
  const file = join(await temporaryDirectory(), 'file')
  const { body } = await makeFile(file, 20 * MIB)
  for (const one of [body, stream(20 * MIB), Buffer.alloc(8 * MIB)]) {
    seen.requests = 0
    await expectFailure(put(transport, 'nar/x', one), { says: /connection broke off.*PUT .*nar\/x/ })
    expect(seen.requests).toBe(5)
  }
})

/** Answers 413 within the body, and resets the connection at once. */
async function resettingServer() {
  const said = 'HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
  const server = createServer((socket) => {
    let bytes = 0
    socket.on('error', () => {})
    socket.once('data', () => socket.write('HTTP/1.1 100 Continue\r\n\r\n'))
    socket.on('data', (chunk) => {
      bytes += chunk.length
      if (bytes > MIB && !socket.writableEnded) socket.end(said, () => socket.resetAndDestroy())
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return portOf(server)
}

test('a refusal counts even if the server resets the connection at once: this file is too large, and nothing else is wrong', async () => {
  const to = `http://127.0.0.1:${await resettingServer()}`
  const transport = new HttpTransport({ to, progressTimeoutMs: 20_000, requests: quickConcurrency() })
  opened.push(transport)
  // When a piece is ready, the answer is in the socket's buffer and was not read.
  const body = {
    atMost: 8 * MIB,
    async *open() {
      for (let at = 0; at < 32; at++) {
        await setImmediate()
        yield Buffer.alloc(MIB / 4)
      }
    },
  }
  const says = /refuses a file of this size.*PUT nar\/x/
  const expected = { blame: 'job', permanent: true, isOfOneFile: true, says } as const
  for (let round = 0; round < 10; round++) await expectFailure(put(transport, 'nar/x', body), expected)
})
