import type { AttemptContext } from './attempt.ts'
import type { Body, StreamBody } from './transport.ts'

/**
 * Up to this many bytes in memory are sent at once. More are sent in pieces: progress is visible, and when the last one is sent,
 * nobody reads the memory any more.
 */
export const AT_ONCE_BYTES = 128 * 1024
/** The size of a piece if nothing else limits it. */
const PIECE_BYTES = 256 * 1024

/** What goes out: bytes at once, or one piece after the other. */
export type Outgoing = Uint8Array | AsyncIterable<Uint8Array>

/** True for bytes that are in memory. */
export function isWhole(body: Body): body is Uint8Array {
  return body instanceof Uint8Array
}

/** The number of bytes of a body, where that is known. */
export function sizeOf(body: Body): number | undefined {
  return isWhole(body) ? body.length : body.size
}

/**
 * Sends a body no faster than allowed.
 * @param send Sends it. When it returns, the rest of a stream is ended.
 * @throws The error of the stream, rather than the error that the request got from it.
 */
export async function sending<R>(
  body: Body,
  context: AttemptContext,
  send: (outgoing: Outgoing) => Promise<R>,
): Promise<R> {
  if (isWhole(body) && body.length <= Math.min(AT_ONCE_BYTES, context.pieceBytes())) {
    await context.beforeBytes(body.length)
    return await send(body)
  }
  const ended = new AbortController()
  const broken: { error?: unknown } = {}
  try {
    return await send(pieces(body, context, AbortSignal.any([context.signal, ended.signal]), broken))
  } catch (error) {
    context.signal.throwIfAborted()
    throw broken.error ?? error
  } finally {
    ended.abort()
  }
}

async function* pieces(
  body: Body,
  context: AttemptContext,
  signal: AbortSignal,
  broken: { error?: unknown },
): AsyncGenerator<Uint8Array> {
  const source = isWhole(body) ? [body].values() : chunksOf(body, signal)
  try {
    for (;;) {
      const next = source.next()
      const { done, value: chunk } = next instanceof Promise ? await context.ownWait(next) : next
      if (done) return
      for (let at = 0; at < chunk.length; ) {
        const end = Math.min(chunk.length, at + Math.min(PIECE_BYTES, context.pieceBytes()))
        await context.beforeBytes(end - at)
        yield chunk.subarray(at, end)
        at = end
      }
    }
  } catch (error) {
    broken.error = error
    throw error
  } finally {
    await source.return?.(undefined)
  }
}

/**
 * The bytes of a stream.
 * @throws The error of the stream; also an error if it has not the announced length: the other end would wait for missing bytes, or
 * misread surplus ones.
 */
export async function* chunksOf(body: StreamBody, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { size } = body
  let bytes = 0
  for await (const chunk of body.open(signal)) {
    bytes += chunk.length
    if (size !== undefined && bytes > size) throw new Error(`a stream went on after its ${size} bytes`)
    yield chunk
  }
  if (size !== undefined && bytes < size)
    throw new Error(`a stream was cut short while it was sent: ${bytes} of ${size} bytes`)
}

/**
 * Reads a stream only to find its length, for places that need it beforehand.
 * @throws What the stream threw.
 */
export async function measured(body: StreamBody, { signal, ownWait }: AttemptContext): Promise<StreamBody> {
  const size = await ownWait(lengthOf(body, signal))
  return { ...body, size }
}

async function lengthOf(body: StreamBody, signal: AbortSignal): Promise<number> {
  let size = 0
  for await (const chunk of body.open(signal)) size += chunk.length
  return size
}
