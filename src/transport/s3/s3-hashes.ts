import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import type { Outgoing } from '../outgoing.ts'

/** Says that the body is not covered by the signature. */
const UNSIGNED = 'UNSIGNED-PAYLOAD'
/**
 * The signature of a request doesn't cover a larger body, such as a part of an archive: readers of the archive check its hash,
 * and hashing each part again takes as long as sending it.
 */
const HASHED_BYTES = 4 * 1024 * 1024

/** The header with the digest of a body. A stream can't have one: its digest would be known too late. */
export function digestOf(body: Outgoing | undefined): Record<string, string> {
  if (body === undefined || isStream(body)) return {}
  return { 'content-md5': createHash('md5').update(body).digest('base64') }
}

/** What a signature says of the body: its hash, or that it isn't covered. */
export function contentHash(body: Outgoing | undefined): string {
  if (isStream(body)) return UNSIGNED
  if (body && body.length > HASHED_BYTES) return UNSIGNED
  return createHash('sha256')
    .update(body ?? '')
    .digest('hex')
}

function isStream(body: Outgoing | undefined): body is AsyncIterable<Uint8Array> {
  return body !== undefined && !(body instanceof Uint8Array)
}

/** SHA-256 as the library that signs wants it. */
export class Sha256 {
  readonly #hash: Hash | Hmac

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    if (secret === undefined) this.#hash = createHash('sha256')
    else this.#hash = createHmac('sha256', typeof secret === 'string' ? secret : bytesOf(secret))
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === 'string' ? data : bytesOf(data))
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  /** The signer makes a new one each time. */
  reset(): void {
    throw new Error('this hash is used once')
  }
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
}
