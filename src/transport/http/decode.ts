import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import { own } from '../../util/own.ts'
import { TransportFailure } from '../transport-failure.ts'
import { MOST_BYTES } from './answer.ts'

const LIMIT = { maxOutputLength: MOST_BYTES }

/** By its name in the header, in lower case. */
const DECODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  br: (bytes) => brotliDecompressSync(bytes, LIMIT),
  gzip: (bytes) => gunzipSync(bytes, LIMIT),
  'x-gzip': (bytes) => gunzipSync(bytes, LIMIT),
  deflate: (bytes) => inflateSync(bytes, LIMIT),
  zstd: (bytes) => zstdDecompressSync(bytes, LIMIT),
}

/**
 * The text of a fetched file. Nix may have uploaded it compressed (`narinfo-compression`); then it arrives compressed
 * whatever the request accepts.
 * @param encoding As the header Content-Encoding has it.
 * @throws {TransportFailure} if it can't be decoded, or would be too large.
 */
export function decoded(body: Buffer, encoding: string | undefined, name: string): string {
  const coding = (encoding ?? '').trim().toLowerCase()
  if (coding === '' || coding === 'identity') return body.toString('utf8')
  const decode = own(DECODERS, coding)
  if (!decode) {
    const means = `the destination has ${name} in an encoding that can't be read here: upload it again without narinfo-compression`
    throw new TransportFailure({ isOfOneFile: true, isTrouble: true, means }, `it is ${encoding}`)
  }
  try {
    return decode(body).toString('utf8')
  } catch (error) {
    const means = `the destination has ${name} in a form that can't be read: it is damaged, or far too large`
    throw new TransportFailure({ isOfOneFile: true, isTrouble: true, means }, `${coding}: ${String(error)}`)
  }
}
