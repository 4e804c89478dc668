import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Address } from '../config/config.ts'
import { UserError, wordsOf } from '../util/user-error.ts'
import { isForThisMachine, namesInHostsFile } from './page/own-names.ts'
import { CONTENT_SECURITY_POLICY } from './page/page.ts'

/** Any local user may connect, but must not use up the file handles that uploads need. */
const CONNECTIONS_AT_MOST = 32

/** Headers of all answers: no other site may use them, and browsers must not guess their type. */
const HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
}

const WRONG_NAME = `This page is only shown under the addresses and names of this machine, so that no other web page can read it.
Use the IP address, or write the name that you use into metrics-listen. A reverse proxy must send "Host: localhost".
`

/** What the server shows. */
export interface Content {
  page(): Promise<string>
  metrics(): Promise<string>
  /** Called with an error, and a message for the log. */
  warn(error: unknown, what: string): void
}

/** Shows the status as a page at `/`, and the metrics at `/metrics`. It is read-only. */
export class WebServer {
  readonly #content: Content
  readonly #names: readonly string[]
  readonly #server: Server

  constructor({ host, port }: Address, content: Content) {
    this.#content = content
    this.#names = [host, ...namesInHostsFile()]
    this.#server = createServer((request, response) => void this.#answer(request, response))
    this.#server.on('error', (error) => content.warn(error, "the metrics can't be served"))
    this.#server.maxConnections = CONNECTIONS_AT_MOST
    this.#server.listen(port, host)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #answer(
    { method = '', url = '', headers }: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    const path = url.split('?')[0]
    try {
      if (path !== '/' && path !== '/metrics') {
        return say(response, 404, 'the status is at /, the metrics are at /metrics\n')
      }
      if (method !== 'GET' && method !== 'HEAD') {
        return say(response.setHeader('allow', 'GET, HEAD'), 405, 'this page is read-only\n')
      }
      // Metrics are counts only, and a scraper may use any name for this machine.
      if (path === '/metrics')
        return say(response, 200, await this.#content.metrics(), 'text/plain; version=0.0.4')
      if (!isForThisMachine(headers.host, this.#names)) return say(response, 403, WRONG_NAME)
      say(response, 200, await this.#content.page(), 'text/html; charset=utf-8')
    } catch (error) {
      // An error that a person can mend, such as a missing part of the spool, is shown on the page.
      if (error instanceof UserError) return say(response, 503, `${wordsOf(error)}\n`)
      this.#content.warn(error, "the metrics can't be served")
      say(response, 500, '')
    }
  }
}

function say(response: ServerResponse, code: number, text: string, type = 'text/plain; charset=utf-8'): void {
  const bytes = Buffer.from(text)
  response.writeHead(code, { 'content-type': type, 'content-length': bytes.length }).end(bytes)
}
