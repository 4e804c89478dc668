// Somebody who reads a binary cache while it is being filled, and looks whether it is whole.

import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  NotFound,
  type S3Client,
} from '@aws-sdk/client-s3'
import { parseNarInfo } from '../../src/cache/narinfo.ts'

/** Where the files of a cache lie. */
export interface Place {
  keys(): Promise<string[]>
  get(key: string): Promise<Buffer>
  /** In bytes; undefined where there is no such file. */
  size(key: string): Promise<number | undefined>
}

export class CacheReader {
  /** What narinfos told of when it wasn't there. */
  readonly holes: string[] = []
  looks = 0
  narinfos = 0
  readonly #place: Place
  /** Narinfos that were read, and all that they tell of was there. */
  readonly #whole = new Set<string>()

  constructor(place: Place) {
    this.#place = place
  }

  /** Reads each narinfo that is new, and then asks for its archive and for the narinfos of what it refers to. */
  async look(): Promise<void> {
    for (const key of await this.#place.keys()) {
      if (!key.endsWith('.narinfo') || this.#whole.has(key)) continue
      const info = parseNarInfo((await this.#place.get(key)).toString('utf8'))
      if (!info) this.holes.push(`${key} is no narinfo`)
      else {
        const size = await this.#place.size(info.url)
        if (size !== info.fileSize) this.holes.push(`${key} tells of ${info.url}, which has ${size} bytes`)
        for (const reference of info.references) {
          const needed = `${reference.slice(0, 32)}.narinfo`
          if ((await this.#place.size(needed)) === undefined) this.holes.push(`${key} tells of ${needed}`)
        }
      }
      this.#whole.add(key)
      this.narinfos++
    }
    this.looks++
  }

  /** How many files there are. */
  async count(): Promise<number> {
    return (await this.#place.keys()).length
  }

  /** Copies all of it to a directory. */
  async mirrorTo(directory: string): Promise<void> {
    for (const key of await this.#place.keys()) {
      await mkdir(dirname(join(directory, key)), { recursive: true })
      await writeFile(join(directory, key), await this.#place.get(key))
    }
  }
}

/** A directory of this machine; what is being written there isn't there yet. */
export class Directory implements Place {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async keys(): Promise<string[]> {
    const inIt = async (path: string) => {
      const entries = await readdir(path, { withFileTypes: true }).catch(() => [])
      return entries.flatMap((entry) =>
        entry.isFile() ? [relative(this.#path, join(path, entry.name))] : [],
      )
    }
    return [...(await inIt(this.#path)), ...(await inIt(join(this.#path, 'nar')))]
  }

  async get(key: string): Promise<Buffer> {
    return await readFile(join(this.#path, key))
  }

  async size(key: string): Promise<number | undefined> {
    return await stat(join(this.#path, key)).then(
      ({ size }) => size,
      () => undefined,
    )
  }
}

export class Bucket implements Place {
  readonly #client: S3Client
  readonly #bucket: string

  constructor(client: S3Client, bucket: string) {
    this.#client = client
    this.#bucket = bucket
  }

  async keys(): Promise<string[]> {
    const { Contents = [], IsTruncated } = await this.#client.send(
      new ListObjectsV2Command({ Bucket: this.#bucket }),
    )
    if (IsTruncated) throw new Error('There is more in the bucket than one list has')
    return Contents.flatMap(({ Key }) => Key ?? [])
  }

  async get(Key: string): Promise<Buffer> {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key }))
    return Buffer.from((await Body?.transformToByteArray()) ?? [])
  }

  async size(Key: string): Promise<number | undefined> {
    try {
      return (await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key }))).ContentLength
    } catch (error) {
      if (error instanceof NotFound) return undefined
      throw error
    }
  }

  /** How many uploads in parts were begun and not ended, which nobody sees who reads. */
  async unfinished(): Promise<number> {
    const { Uploads = [] } = await this.#client.send(
      new ListMultipartUploadsCommand({ Bucket: this.#bucket }),
    )
    return Uploads.length
  }
}
