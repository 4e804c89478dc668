// A server that answers as a test has it: for what no real one says, or seldom.

import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { onTestFinished } from 'vitest'

/** A request, as it came in. */
export interface Asked {
  method: string
  /** With the query. */
  url: string
  /** As they stand in the request, without case. */
  headers: IncomingHttpHeaders
  body: Buffer
}

/** Answers a request once its whole body is there. */
export type Answering = (asked: Asked, response: ServerResponse) => void | Promise<void>

export interface FakeServer {
  port: number
  url: string
  /** What was asked, whole. */
  asked: Asked[]
  /** How many connections were made. */
  connections: number
}

/** Runs until the end of the test. */
export async function fakeServer(answer: Answering): Promise<FakeServer> {
  const fake: FakeServer = { port: 0, url: '', asked: [], connections: 0 }
  const server = createServer(async (request, response) => {
    try {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      const { method = '', url = '', headers } = request
      const asked = { method, url, headers, body: Buffer.concat(chunks) }
      fake.asked.push(asked)
      await answer(asked, response)
    } catch {
      // It was ended in the midst of its body.
      request.destroy()
    }
  })
  server.on('connection', () => {
    fake.connections++
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port')
  fake.port = address.port
  fake.url = `http://127.0.0.1:${address.port}`
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return fake
}
