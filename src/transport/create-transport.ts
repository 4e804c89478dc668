import { schemeOf } from '../config/store-url.ts'
import { FileTransport } from './file/file-transport.ts'
import { HttpTransport } from './http/http-transport.ts'
import { S3Transport } from './s3/s3-transport.ts'
import type { Transport } from './transport.ts'
import type { TransportOptions } from './transport-options.ts'

/** Makes the transport for a binary cache: `file://`, `http://`, `https://` or `s3://`. It does nothing until it is used. */
export function createTransport(options: TransportOptions): Transport {
  switch (schemeOf(options.to)) {
    case 'file':
      return new FileTransport(options)
    case 's3':
      return new S3Transport(options)
    default:
      return new HttpTransport(options)
  }
}
