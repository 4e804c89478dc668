import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { RateLimit } from './rate-limit.ts'
import type { Body } from './transport.ts'

/** Part of a file: where it begins, and how long it is. */
export interface Range {
  start: number
  size: number
}

export interface BodyOptions {
  limits: readonly RateLimit[]
  signal: AbortSignal
  /** Called with the number of bytes that are about to go out. */
  onBytes: (count: number) => void
  /** The whole, if not given. */
  range?: Range
}

/** What a request costs beside its body, about: lines and headers. */
const REQUEST_BYTES = 400
const CHUNK_BYTES = 256 * 1024
/** One is written, one waits for that, and one is read into. */
const BUFFERS = 3

/** The number of bytes of a body. */
export function sizeOf(body: Body): number {
  return 'text' in body ? Buffer.byteLength(body.text) : body.size
}

/** So little is read at once: a stream takes longer to set up than that. */
const SMALL_BYTES = 64 * 1024

/** What to send for a body: a small one as it is, a larger one as a stream. */
export async function outgoing(body: Body, options: BodyOptions): Promise<Readable | Buffer> {
  const size = sizeOf(body)
  const isSmall = size <= SMALL_BYTES && options.limits.every((limit) => size <= limit.pieceSize)
  if (!isSmall || options.range) return bodyStream(body, options)
  const bytes = 'text' in body ? Buffer.from(body.text) : readFileSync(body.file)
  if ('file' in body && bytes.length !== size) throw cutShort(body.file, bytes.length, size)
  for (const limit of options.limits) await limit.take(size, options.signal)
  options.onBytes(size)
  return bytes
}

/** Waits until a request without a body may go out. */
export async function takeTurn(limits: readonly RateLimit[], signal: AbortSignal): Promise<void> {
  for (const limit of limits) await limit.take(REQUEST_BYTES, signal)
}

/**
 * The bytes of a body, no faster than allowed. Its memory is used again and again: a chunk must be through before the
 * one after the next is asked for. It fails where the file is not as long as it was: a request that promised more would
 * wait for ever.
 */
function bodyStream(body: Body, options: BodyOptions): Readable {
  const ended = new AbortController()
  const signal = AbortSignal.any([options.signal, ended.signal])
  const stream = Readable.from(pieces(body, { ...options, signal }), {
    objectMode: false,
    // One chunk is read ahead.
    highWaterMark: 1,
  })
  const destroy = stream._destroy.bind(stream)
  // A stream that nobody wants any more must not wait for its turn.
  stream._destroy = (error, done) => {
    ended.abort()
    destroy(error, done)
  }
  return stream
}

async function* pieces(body: Body, options: BodyOptions): AsyncGenerator<Buffer> {
  const { limits, signal, onBytes } = options
  const expected = options.range?.size ?? sizeOf(body)
  let total = 0
  for await (const chunk of chunks(body, expected, options.range?.start ?? 0)) {
    for (let at = 0; at < chunk.length; ) {
      const size = Math.min(chunk.length - at, ...limits.map((limit) => limit.pieceSize))
      for (const limit of limits) await limit.take(size, signal)
      onBytes(size)
      total += size
      yield chunk.subarray(at, at + size)
      at += size
    }
  }
  if (total !== expected && 'file' in body) {
    throw cutShort(body.file, total, expected)
  }
}

function cutShort(file: string, found: number, expected: number): Error {
  return new Error(`${file} was cut short while it was sent: ${found} of ${expected} bytes were there`)
}

async function* chunks(body: Body, size: number, start: number): AsyncGenerator<Buffer> {
  if ('text' in body) {
    yield Buffer.from(body.text)
    return
  }
  const buffers = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, size)))
  const file = await open(body.file)
  try {
    let at = 0
    while (at < size) {
      for (const buffer of buffers) {
        const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, size - at), start + at)
        if (bytesRead === 0) return
        at += bytesRead
        yield buffer.subarray(0, bytesRead)
      }
    }
  } finally {
    await file.close()
  }
}
