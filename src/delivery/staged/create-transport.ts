import { schemeOf } from '../../config/store-url.ts'
import { createHttpTransport } from './http-transport.ts'
import { createS3Transport } from './s3-transport.ts'
import type { Transport, TransportOptions } from './transport.ts'

/** Whether there is a transport for a store URL. */
export function hasTransport(to: string): boolean {
  return ['http', 'https', 's3'].includes(schemeOf(to))
}

/** The way to a binary cache over a network: `http://`, `https://` or `s3://`. It does nothing until it is used. */
export function createTransport(options: TransportOptions): Transport {
  return schemeOf(options.to) === 's3' ? createS3Transport(options) : createHttpTransport(options)
}
