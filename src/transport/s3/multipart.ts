import { BufferPool } from '../../util/buffer-pool.ts'
import type { Attempt } from '../attempt.ts'
import { ByteCounter } from '../byte-counter.ts'
import { sending } from '../outgoing.ts'
import type { OnBytes, StreamBody, Upload } from '../transport.ts'
import { type Bucket, headersOf } from './bucket.ts'
import { inXml, S3Failure } from './s3-failure.ts'

/** A bucket, and how attempts are made to do something there. */
export interface PartsContext extends Bucket {
  attempts: <R>(attempt: Attempt<R>, signal: AbortSignal, onBytes?: OnBytes) => Promise<R>
}

type LargeUpload = Upload & { body: StreamBody }

/** S3 takes 10,000; the size of the archive is not known before its end. */
const MOST_PARTS = 9_000
/** Each is in memory until S3 has it, and one more is being filled. */
const PARTS_AT_ONCE = 3
const ABANDON_MS = 10_000

/**
 * Uploads a stream of unknown length in parts. Each is kept in memory until S3 has it, so it can be sent again by itself;
 * a stream that ends within the first one goes as a whole.
 */
export async function putInParts(
  context: PartsContext,
  upload: LargeUpload,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<void> {
  const counter = new ByteCounter(onBytes)
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  const partBytes = Math.max(context.place.partBytes, Math.ceil(upload.body.atMost / MOST_PARTS))
  const buffers = new BufferPool(partBytes)
  const parts = partsOf(upload.body.open(either), partBytes, buffers)
  let uploadId: string | undefined
  try {
    const first = await parts.next()
    if (first.done || first.value.bytes.length < partBytes) {
      const bytes = first.done ? new Uint8Array(0) : first.value.bytes
      return await putWhole(context, upload, bytes, either, (count) => counter.add(count))
    }
    uploadId = await begin(context, upload, either)
    const sent = await sendAll(
      context,
      { upload, uploadId, counter, ended, either, buffers },
      first.value,
      parts,
    )
    await complete(context, upload, uploadId, either, sent)
  } catch (error) {
    ended.abort(error)
    counter.takeBack()
    if (uploadId !== undefined) await abandon(context, upload, uploadId)
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

async function putWhole(
  { place, requests, attempts }: PartsContext,
  upload: LargeUpload,
  bytes: Uint8Array,
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<void> {
  const { name } = upload
  const headers = headersOf(upload, place)
  await attempts(
    (context) =>
      sending(bytes, context, (body) =>
        requests.send(
          {
            method: 'PUT',
            name,
            headers: { ...headers, 'content-length': `${bytes.length}` },
            body,
            content: bytes,
          },
          `PUT ${name}`,
          context.signal,
        ),
      ),
    signal,
    onBytes,
  )
}

async function begin(
  { place, requests, attempts }: PartsContext,
  upload: LargeUpload,
  either: AbortSignal,
): Promise<string> {
  const { name } = upload
  const what = `begin PUT ${name}`
  const request = { method: 'POST', name, query: { uploads: '' }, headers: headersOf(upload, place) } as const
  const answer = await attempts(({ signal }) => requests.send(request, what, signal), either)
  const uploadId = inXml(answer.body.toString(), 'UploadId')
  if (uploadId) return uploadId
  throw new S3Failure('NoUploadId', answer, `it says to ${what}: ${answer.status}, without an UploadId`)
}

interface Sending {
  upload: LargeUpload
  uploadId: string
  counter: ByteCounter
  ended: AbortController
  /** Aborted with that, or when nobody wants the upload any more. */
  either: AbortSignal
  buffers: BufferPool
}

/** @returns S3's names of the parts, in their order, and the number of bytes. */
async function sendAll(
  context: PartsContext,
  sending: Sending,
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
    const sent = sendPart(context, sending, part.bytes, at + 1).then((tag) => {
      tags[at] = tag
      sending.buffers.giveBack(part.buffer)
      underway.delete(sent)
    })
    // The waiting caller gets the error; until then it is no unhandled rejection.
    sent.catch((error: unknown) => sending.ended.abort(error))
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
    sending.ended.abort(error)
    // A part that arrives after the upload was given up would stay for ever.
    await Promise.allSettled(underway)
    throw error
  }
}

async function sendPart(
  { requests, attempts }: PartsContext,
  { upload: { name }, uploadId, counter, either }: Sending,
  part: Uint8Array,
  number: number,
): Promise<string> {
  const query = { partNumber: String(number), uploadId }
  const headers = { 'content-length': String(part.length) }
  const what = `PUT part ${number} of ${name}`
  const answer = await attempts(
    (context) =>
      sending(part, context, (body) =>
        requests.send({ method: 'PUT', name, query, headers, body, content: part }, what, context.signal),
      ),
    either,
    (count) => counter.add(count),
  )
  return answer.headers.etag ?? ''
}

async function complete(
  { requests, attempts }: PartsContext,
  { name }: LargeUpload,
  uploadId: string,
  either: AbortSignal,
  { tags, bytes }: { tags: readonly string[]; bytes: number },
): Promise<void> {
  const parts = tags.map((tag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${tag}</ETag></Part>`)
  const xml = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`
  const request = { method: 'POST', name, query: { uploadId }, body: Buffer.from(xml) } as const
  let made = 0
  await attempts(async ({ signal }) => {
    made++
    try {
      await requests.send(request, `end PUT ${name}`, signal)
    } catch (error) {
      // If the first answer was lost, there is nothing left to complete.
      if (made === 1 || !(error instanceof S3Failure) || error.code !== 'NoSuchUpload') throw error
      const { headers } = await requests.send({ method: 'HEAD', name }, `HEAD ${name}`, signal)
      if (Number(headers['content-length']) !== bytes) throw error
    }
  }, either)
}

/** Parts of an unfinished upload would cost money for ever. */
async function abandon({ requests }: PartsContext, { name }: LargeUpload, uploadId: string): Promise<void> {
  const request = { method: 'DELETE', name, query: { uploadId } } as const
  // The earlier error is the one that counts.
  await requests.send(request, `give up PUT ${name}`, AbortSignal.timeout(ABANDON_MS)).catch(() => undefined)
}
