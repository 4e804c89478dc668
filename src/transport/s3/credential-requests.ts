import { Readable } from 'node:stream'
import { type HttpRequest, HttpResponse } from '@smithy/core/protocols'
import type { Agents } from '../http/agents.ts'
import { exchange } from '../http/exchange.ts'

/** How the SDK makes requests, and the options that it passes. */
export interface RequestHandler {
  handle(request: HttpRequest, options?: { abortSignal?: unknown }): Promise<{ response: HttpResponse }>
  updateHttpClientConfig(): void
  httpHandlerConfigs(): Record<string, never>
}

const PATIENCE_MS = 60_000

/**
 * Makes the SDK's requests for credentials (STS, single sign-on) in the same way as our own: through the same proxies, and with
 * the same CA certificates. The SDK itself ignores both.
 */
export function credentialRequests(agents: Agents): RequestHandler {
  return {
    async handle({ protocol, hostname, port, path, query, method, headers, body }) {
      const url = new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`)
      for (const [name, value] of Object.entries(query ?? {})) {
        for (const one of [value].flat()) url.searchParams.append(name, one ?? '')
      }
      const bytes = body === undefined ? undefined : Buffer.from(body)
      const signal = AbortSignal.timeout(PATIENCE_MS)
      const answer = await exchange({ method, url, headers, body: bytes, agents, signal })
      const { status: statusCode, headers: answered } = answer
      return {
        response: new HttpResponse({ statusCode, headers: answered, body: Readable.from([answer.body]) }),
      }
    },
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
  }
}
