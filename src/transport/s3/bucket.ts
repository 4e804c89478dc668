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
