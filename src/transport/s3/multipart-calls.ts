import type { Attempt } from '../attempt.ts'
import { sending } from '../outgoing.ts'
import type { OnBytes, Upload } from '../transport.ts'
import { type Bucket, headersOf } from './bucket.ts'
import { inXml, S3Failure } from './s3-failure.ts'

/** A bucket, and how attempts are made to do something there. */
export interface PartsContext extends Bucket {
  attempts: <R>(attempt: Attempt<R>, signal: AbortSignal, onBytes?: OnBytes) => Promise<R>
}

const ABANDON_MS = 10_000

/** An upload that was begun. */
export interface OpenUpload {
  /** Of the file, below the place's prefix. */
  name: string
  uploadId: string
}

/** Begins an upload in parts. */
export async function begin(
  { place, requests, attempts }: PartsContext,
  upload: Upload,
  signal: AbortSignal,
): Promise<OpenUpload> {
  const { name } = upload
  const what = `begin PUT ${name}`
  const request = { method: 'POST', name, query: { uploads: '' }, headers: headersOf(upload, place) } as const
  const answer = await attempts((context) => requests.send(request, what, context.signal), signal)
  const uploadId = inXml(answer.body.toString(), 'UploadId')
  if (uploadId) return { name, uploadId }
  throw new S3Failure('NoUploadId', answer, `it says to ${what}: ${answer.status}, without an UploadId`)
}

/**
 * Uploads one part.
 * @param number From 1 on.
 * @returns S3's name of it.
 */
export async function sendPart(
  { requests, attempts }: PartsContext,
  { name, uploadId }: OpenUpload,
  { bytes, number }: { bytes: Uint8Array; number: number },
  signal: AbortSignal,
  onBytes: OnBytes,
): Promise<string> {
  const query = { partNumber: String(number), uploadId }
  const headers = { 'content-length': String(bytes.length) }
  const what = `PUT part ${number} of ${name}`
  const answer = await attempts(
    (context) =>
      sending(bytes, context, (body) =>
        requests.send({ method: 'PUT', name, query, headers, body, content: bytes }, what, context.signal),
      ),
    signal,
    onBytes,
  )
  return answer.headers.etag ?? ''
}

/**
 * Makes the parts one object.
 * @param parts S3's names of the parts, in their order, and the number of bytes.
 */
export async function complete(
  { requests, attempts }: PartsContext,
  { name, uploadId }: OpenUpload,
  signal: AbortSignal,
  { tags, bytes }: { tags: readonly string[]; bytes: number },
): Promise<void> {
  const parts = tags.map((tag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${tag}</ETag></Part>`)
  const xml = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join('')}</CompleteMultipartUpload>`
  const request = { method: 'POST', name, query: { uploadId }, body: Buffer.from(xml) } as const
  const what = `end PUT ${name}`
  let made = 0
  await attempts(async ({ signal: either }) => {
    made++
    try {
      const answer = await requests.send(request, what, either)
      if (answer.body.includes('CompleteMultipartUploadResult')) return
      throw new S3Failure('NoResult', answer, `it says to ${what}: ${answer.status}, without a result`)
    } catch (error) {
      // If the first answer was lost, there is nothing left to complete.
      const isInDoubt =
        error instanceof S3Failure &&
        (error.code === 'NoResult' || (made > 1 && error.code === 'NoSuchUpload'))
      if (!isInDoubt || (await sizeAt(requests, name, either)) !== bytes) throw error
    }
  }, signal)
}

/** The size of a file; undefined if it is not there. */
async function sizeAt(
  requests: Bucket['requests'],
  name: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    const { headers } = await requests.send({ method: 'HEAD', name }, `HEAD ${name}`, signal)
    return Number(headers['content-length'])
  } catch (error) {
    if (error instanceof S3Failure && error.status === 404) return undefined
    throw error
  }
}

/** Parts of an unfinished upload would cost money for ever. */
export async function abandon({ requests }: PartsContext, { name, uploadId }: OpenUpload): Promise<void> {
  const request = { method: 'DELETE', name, query: { uploadId } } as const
  // The earlier error is the one that counts.
  await requests.send(request, `give up PUT ${name}`, AbortSignal.timeout(ABANDON_MS)).catch(() => undefined)
}
