import { Readable } from 'node:stream'
import type { Agents } from './agents.ts'
import { type Exchange, exchange } from './exchange.ts'

/** A request as the AWS SDK has made and signed it. */
export interface SdkRequest {
  method: string
  protocol: string
  hostname: string
  port?: number
  /** Encoded already, as it was signed. */
  path: string
  query?: Record<string, string | string[] | null>
  headers: Record<string, string>
  body?: Exchange['body']
}

/** What the SDK hands on of what a call is made with. */
export interface SdkOptions {
  abortSignal?: AbortSignal
  /** Told of the request as it goes out. */
  onRequest?: (request: SdkRequest) => void
}

interface SdkResponse {
  response: { statusCode: number; headers: Record<string, string>; body: Readable }
}

/** What makes the requests of the AWS SDK: as all others are made, over the same kind of connections. */
export interface SdkHandler extends Record<string, unknown> {
  metadata: { handlerProtocol: string }
  handle(request: SdkRequest, options: SdkOptions): Promise<SdkResponse>
}

/** Makes a `requestHandler` for a client of the AWS SDK. */
export function sdkHandler(agents: Agents): SdkHandler {
  const never = new AbortController().signal
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request, { abortSignal = never, onRequest }) {
      onRequest?.(request)
      const { status, headers, body } = await exchange({
        method: request.method,
        url: urlOf(request),
        headers: request.headers,
        body: request.body,
        agents,
        signal: abortSignal,
        alive: () => {},
      })
      const stream = Readable.from([body], { objectMode: false })
      return { response: { statusCode: status, headers, body: stream } }
    },
  }
}

/** Where a request goes. */
export function urlOf({ protocol, hostname, port, path, query = {} }: SdkRequest): URL {
  const pairs = Object.keys(query)
    .sort()
    .flatMap((name) => {
      const value = query[name]
      if (value === null || value === undefined) return [escaped(name)]
      return [value].flat().map((one) => `${escaped(name)}=${escaped(one)}`)
    })
  const search = pairs.length > 0 ? `?${pairs.join('&')}` : ''
  return new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}${search}`)
}

/** As the signature has it. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
