import { sizeOf } from './body-stream.ts'
import { decoded } from './decode.ts'
import { Flow } from './flow.ts'
import { ReadRights } from './read-rights.ts'
import { type CallContext, S3Calls, type S3Way } from './s3-calls.ts'
import { S3Direct } from './s3-direct.ts'
import { codeOfS3 } from './s3-failure.ts'
import { objectOf, type S3Object } from './s3-object.ts'
import { putInParts } from './s3-parts.ts'
import { parseS3Url } from './s3-url.ts'
import type { Body, Transport, TransportOptions } from './transport.ts'

/** A binary cache in a bucket of S3, or of what speaks the same protocol. */
export function createS3Transport(options: TransportOptions): Transport {
  return new S3Transport(options)
}

class S3Transport implements Transport {
  readonly #options: TransportOptions
  readonly #flow: Flow
  readonly #rights: ReadRights
  #way: S3Way | undefined

  constructor(options: TransportOptions) {
    this.#options = options
    this.#flow = options.flow ?? new Flow()
    this.#rights = new ReadRights(options.onWarning)
  }

  /**
   * Without the right to list a bucket, S3 says AccessDenied of what is not there. Nix takes that for "not there" too;
   * where we really may do nothing, the upload that follows says so.
   */
  async get(name: string, signal: AbortSignal): Promise<string | undefined> {
    const { place, calls, flow } = this.#open()
    const asked = { Bucket: place.bucket, Key: place.prefix + name }
    return await flow.run(async () => {
      return await calls.call(`GET ${name}`, signal, async (context) => {
        try {
          const { bytes, encoding } = await fetchObject(context, asked, name)
          this.#rights.granted()
          return decoded(bytes, encoding, name)
        } catch (error) {
          const code = codeOfS3(error)
          if (code === 'AccessDenied') this.#rights.refused()
          if (code === 'AccessDenied' || code === 'NoSuchKey') return undefined
          throw error
        }
      })
    }, signal)
  }

  async put(name: string, body: Body, signal: AbortSignal, onBytes: (count: number) => void): Promise<void> {
    const way = this.#open()
    const object = objectOf(way.place, name)
    if ('file' in body && body.size > way.place.partsFromBytes) {
      return await putInParts(way, { name, object, body }, signal, onBytes)
    }
    await this.#putWhole(way, { name, object, body }, signal, onBytes)
    if ('text' in body) await this.#rights.uploaded(async () => (await this.get(name, signal)) !== undefined)
  }

  close(): void {
    this.#way?.calls.close()
  }

  async #putWhole(
    { calls, flow }: S3Way,
    { name, object, body }: { name: string; object: S3Object; body: Body },
    signal: AbortSignal,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const make = () =>
      calls.call(
        `PUT ${name}`,
        signal,
        async ({ sdk, client, direct, options, body: Body }) => {
          if (direct && Buffer.isBuffer(Body) && S3Direct.takes(name))
            return await direct.put(name, object, Body, options.abortSignal)
          const input = { ...object, Body, ContentLength: sizeOf(body) }
          await client.send(new sdk.PutObjectCommand(input), options)
        },
        { body, onBytes },
      )
    await flow.run(make, signal)
  }

  /** A URL that makes no sense is a failure of the destination, to be seen when it is used. */
  #open(): S3Way {
    if (!this.#way) {
      const place = parseS3Url(this.#options.to)
      this.#way = { place, calls: new S3Calls(place, this.#options), flow: this.#flow }
    }
    return this.#way
  }
}

async function fetchObject(
  { sdk, client, direct, onRequest, options }: CallContext,
  asked: { Bucket: string; Key: string },
  name: string,
): Promise<{ bytes: Buffer; encoding: string | undefined }> {
  if (direct && S3Direct.takes(name)) {
    const { body, headers } = await direct.get(name, options.abortSignal)
    return { bytes: body, encoding: headers['content-encoding'] }
  }
  const withEar = { ...options, onRequest: onRequest(name) }
  const { Body, ContentEncoding } = await client.send(new sdk.GetObjectCommand(asked), withEar)
  return { bytes: Buffer.from((await Body?.transformToByteArray()) ?? []), encoding: ContentEncoding }
}
