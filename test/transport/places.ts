// The places that files are asked for over a network: a web server, and S3.

import { HttpTransport } from '../../src/transport/http/http-transport.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { quickConcurrency } from './bed.ts'
import type { Answering } from './fake-server.ts'
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

/** Does something with a way to the server at a URL, as each of them would. */
export const PLACES = { http: overHttp, s3: overS3 }

/** Answers everything so. */
export function status(
  code: number,
  headers: Record<string, string> = {},
  body: Buffer | string = '',
): Answering {
  return (_, response) => void response.writeHead(code, headers).end(body)
}
