import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import { RequestFailure } from './request-failure.ts'

const DECODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  br: brotliDecompressSync,
  gzip: gunzipSync,
  deflate: inflateSync,
  zstd: zstdDecompressSync,
}

/**
 * The text of what was fetched. Nix may have uploaded it compressed (`narinfo-compression`), and it comes like that
 * whatever we ask for.
 * @param encoding As the header Content-Encoding has it.
 */
export function decoded(body: Buffer, encoding: string | undefined, name: string): string {
  if (!encoding || encoding === 'identity') return body.toString('utf8')
  const decode = DECODERS[encoding]
  if (decode) return decode(body).toString('utf8')
  const means = `the destination has ${name} in an encoding that can't be read here: upload it again without narinfo-compression`
  throw new RequestFailure({ isOfOneFile: true, means }, `it is ${encoding}`)
}
