// Somebody who reads a binary cache in a bucket while it is being filled, and looks whether it is whole.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3'
import { parseNarInfo } from '../../src/cache/narinfo.ts'

export class BucketReader {
  /** What narinfos told of when it wasn't there. */
  readonly holes: string[] = []
  looks = 0
  narinfos = 0
  readonly #client: S3Client
  readonly #bucket: string
  /** Narinfos that were read, and all that they tell of was there. */
  readonly #whole = new Set<string>()
  /** Nothing is ever removed. */
  readonly #seen = new Set<string>()

  constructor(client: S3Client, bucket: string) {
    this.#client = client
    this.#bucket = bucket
  }

  /** Reads each narinfo that is new, and then asks for its archive and for the narinfos of what it refers to. */
  async look(): Promise<void> {
    for (const key of await this.#keys()) {
      if (!key.endsWith('.narinfo') || this.#whole.has(key)) continue
      const info = parseNarInfo((await this.#get(key)).toString('utf8'))
      const references = info?.references.map((reference) => `${reference.slice(0, 32)}.narinfo`) ?? []
      if (!info) this.holes.push(`${key} is no narinfo`)
      for (const needed of info ? [info.url, ...references] : []) {
        if (!(await this.#isThere(needed))) this.holes.push(`${key} tells of ${needed}`)
      }
      this.#whole.add(key)
      this.narinfos++
    }
    this.looks++
  }

  /** How many objects there are. */
  async count(): Promise<number> {
    return (await this.#keys()).length
  }

  /** Copies all of it to a directory, for a Nix that can't read S3. */
  async mirrorTo(directory: string): Promise<void> {
    for (const key of await this.#keys()) {
      await mkdir(dirname(join(directory, key)), { recursive: true })
      await writeFile(join(directory, key), await this.#get(key))
    }
  }

  /** How many uploads in parts were begun and not ended, which nobody sees who reads. */
  async unfinished(): Promise<number> {
    const { Uploads = [] } = await this.#client.send(
      new ListMultipartUploadsCommand({ Bucket: this.#bucket }),
    )
    return Uploads.length
  }

  async #keys(): Promise<string[]> {
    const { Contents = [], IsTruncated } = await this.#client.send(
      new ListObjectsV2Command({ Bucket: this.#bucket }),
    )
    if (IsTruncated) throw new Error('There is more in the bucket than one list has')
    return Contents.flatMap(({ Key }) => Key ?? [])
  }

  async #get(Key: string): Promise<Buffer> {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key }))
    return Buffer.from((await Body?.transformToByteArray()) ?? [])
  }

  async #isThere(Key: string): Promise<boolean> {
    if (this.#seen.has(Key)) return true
    try {
      await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key }))
    } catch (error) {
      if (error instanceof NotFound) return false
      throw error
    }
    this.#seen.add(Key)
    return true
  }
}
