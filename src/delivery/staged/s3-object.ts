import type { StorageClass } from '@aws-sdk/client-s3'
import { contentTypeOf } from './content-type.ts'
import type { S3Place } from './s3-url.ts'

/** An object as the SDK has it, but for its content. */
export interface S3Object {
  Bucket: string
  Key: string
  ContentType: string
  StorageClass?: StorageClass
}

/** The object that a file of a binary cache becomes. */
export function objectOf({ bucket, prefix, storageClass }: S3Place, name: string): S3Object {
  return {
    Bucket: bucket,
    Key: prefix + name,
    ContentType: contentTypeOf(name),
    ...(storageClass === undefined ? {} : { StorageClass: storageClass }),
  }
}
