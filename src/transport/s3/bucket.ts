import type { AttemptContext } from '../attempt.ts'
import { isWhole, sending } from '../outgoing.ts'
import type { Upload } from '../transport.ts'
import type { S3Requests } from './s3-request.ts'
import type { S3Place } from './s3-url.ts'

/** A place and how requests are made to it. */
export interface Bucket {
  place: S3Place
  requests: S3Requests
}

/** What an object is stored with. */
export function headersOf(
  { contentType }: Pick<Upload, 'contentType'>,
  { storageClass }: S3Place,
): Record<string, string> {
  return {
    'content-type': contentType,
    ...(storageClass === undefined ? {} : { 'x-amz-storage-class': storageClass }),
  }
}

/**
 * Uploads an object in one request; one attempt.
 * @param size Of the body, in bytes: S3 needs it beforehand.
 */
export async function putObject(
  { place, requests }: Bucket,
  upload: Upload,
  size: number,
  context: AttemptContext,
): Promise<void> {
  const { name, body } = upload
  const headers = { ...headersOf(upload, place), 'content-length': String(size) }
  const content = isWhole(body) ? body : undefined
  await sending(body, context, (outgoing) =>
    requests.send({ method: 'PUT', name, headers, body: outgoing, content }, `PUT ${name}`, context.signal),
  )
}
