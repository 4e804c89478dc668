import { BufferPool } from '../../util/buffer-pool.ts'
import type { AttemptContext } from '../attempt.ts'
import { ByteCounter } from '../byte-counter.ts'
import type { OnBytes, StreamBody, Upload } from '../transport.ts'
import { putObject } from './bucket.ts'
import { abandon, begin, complete, type OpenUpload, type PartsContext, sendPart } from './multipart-calls.ts'

/** S3 takes 10,000; the size of the archive is not known before its end. */
const MOST_PARTS = 9_000
/** Each is in memory until S3 has it, and one more is being filled. */
const PARTS_AT_ONCE = 3

/**
 * Uploads a stream of unknown length in parts. Each is kept in memory until S3 has it, so it can be sent again by itself;
 * a stream that ends within the first one goes as a whole.
 */
export async function putInParts(
  context: PartsContext,
  upload: Upload & { body: StreamBody },
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<void> {
  const counter = new ByteCounter(onBytes)
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  const partBytes = Math.max(context.place.partBytes, Math.ceil(upload.body.atMost / MOST_PARTS))
  const buffers = new BufferPool(partBytes)
  const parts = partsOf(upload.body.open(either), partBytes, buffers)
  let open: OpenUpload | undefined
  try {
    const first = await parts.next()
    if (first.done || first.value.bytes.length < partBytes) {
      const body = first.done ? new Uint8Array(0) : first.value.bytes
      const put = (attempt: AttemptContext) => putObject(context, { ...upload, body }, body.length, attempt)
      return await context.attempts(put, either, (count) => counter.add(count))
    }
    open = await begin(context, upload, either)
    const sent = await sendAll(context, { open, counter, ended, either, buffers }, first.value, parts)
    await complete(context, open, either, sent)
  } catch (error) {
    ended.abort(error)
    counter.takeBack()
    if (open) await abandon(context, open)
    signal.throwIfAborted()
    // If a part failed, the stream was ended because of it; the stream's own error doesn't matter.
    throw ended.signal.reason
  } finally {
    await parts.return(undefined)
    // Node keeps listeners of two combined signals until one of them is aborted.
    ended.abort()
  }
}

interface Part {
  bytes: Buffer
  buffer: Buffer<ArrayBuffer>
}

/** Cuts a stream into parts, all but the last one of the same size. */
async function* partsOf(
  source: AsyncIterable<Uint8Array>,
  partBytes: number,
  buffers: BufferPool,
): AsyncGenerator<Part> {
  let buffer = buffers.take()
  let filled = 0
  for await (const chunk of source) {
    for (let from = 0; from < chunk.length; ) {
      const taken = Math.min(chunk.length - from, partBytes - filled)
      buffer.set(chunk.subarray(from, from + taken), filled)
      from += taken
      filled += taken
      if (filled < partBytes) continue
      yield { bytes: buffer, buffer }
      buffer = buffers.take()
      filled = 0
    }
  }
  if (filled > 0) yield { bytes: buffer.subarray(0, filled), buffer }
}

interface Sending {
  open: OpenUpload
  counter: ByteCounter
  ended: AbortController
  /** Aborted with that, or when nobody wants the upload any more. */
  either: AbortSignal
  buffers: BufferPool
}

/** @returns S3's names of the parts, in their order, and the number of bytes. */
async function sendAll(
  context: PartsContext,
  { open, counter, ended, either, buffers }: Sending,
  first: Part,
  rest: AsyncGenerator<Part>,
): Promise<{ tags: string[]; bytes: number }> {
  const tags: string[] = []
  let bytes = 0
  const underway = new Set<Promise<void>>()
  const start = (part: Part) => {
    const at = tags.length
    tags.push('')
    bytes += part.bytes.length
    const numbered = { bytes: part.bytes, number: at + 1 }
    const onBytes = (count: number) => counter.add(count)
    const sent = sendPart(context, open, numbered, either, onBytes).then((tag) => {
      tags[at] = tag
      buffers.giveBack(part.buffer)
      underway.delete(sent)
    })
    // The waiting caller gets the error; until then it is no unhandled rejection.
    sent.catch((error: unknown) => ended.abort(error))
    underway.add(sent)
  }
  try {
    start(first)
    for await (const part of rest) {
      start(part)
      if (underway.size >= PARTS_AT_ONCE) await Promise.race(underway)
    }
    await Promise.all(underway)
    return { tags, bytes }
  } catch (error) {
    ended.abort(error)
    // A part that arrives after the upload was given up would stay for ever.
    await Promise.allSettled(underway)
    throw error
  }
}
