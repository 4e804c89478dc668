import { type Attempt, type Attempts, plainContext } from '../attempt.ts'
import { decoded } from '../http/decode.ts'
import { isWhole, measured } from '../outgoing.ts'
import { ReadRights } from '../read-rights.ts'
import type { OnBytes, StreamBody, Transport, Upload } from '../transport.ts'
import { attemptsFor, type TransportOptions } from '../transport-options.ts'
import { type Bucket, putObject } from './bucket.ts'
import { putInParts } from './multipart.ts'
import type { PartsContext } from './multipart-calls.ts'
import { S3Failure } from './s3-failure.ts'
import { S3Requests } from './s3-request.ts'
import { parseS3Url } from './s3-url.ts'

/** Answers of S3-like servers without uploads in parts. */
const NO_PARTS = new Set([405, 501])

/** Files in a bucket of S3, or of a service with the same protocol. */
export class S3Transport implements Transport {
  readonly #options: TransportOptions
  readonly #attempts: Attempts
  readonly #rights: ReadRights
  #bucket: Bucket | undefined
  /** False if the server has shown that it knows no uploads in parts. */
  #knowsParts = true

  constructor(options: TransportOptions) {
    this.#options = options
    this.#attempts = attemptsFor(options)
    this.#rights = new ReadRights(options.onWarning)
  }

  get isWriteOnly(): boolean {
    return this.#rights.areWriteOnly
  }

  /**
   * Without the right to list a bucket, S3 answers AccessDenied for a missing file. Nix treats that as "not there" too;
   * if we really have no rights, the following upload says so.
   */
  async get(name: string, signal: AbortSignal): Promise<string | undefined> {
    return await this.#try(signal, async ({ signal: either }) => {
      try {
        const { body, headers } = await this.#open().requests.send(
          { method: 'GET', name },
          `GET ${name}`,
          either,
        )
        this.#rights.granted()
        return decoded(body, headers['content-encoding'], name)
      } catch (error) {
        if (isRefused(error)) this.#rights.refused()
        if (isAbsent(error) || isRefused(error)) return undefined
        throw error
      }
    })
  }

  async head(name: string, signal: AbortSignal): Promise<{ size: number | undefined } | undefined> {
    return await this.#try(signal, async ({ signal: either }) => {
      try {
        const { headers } = await this.#open().requests.send({ method: 'HEAD', name }, `HEAD ${name}`, either)
        const length = headers['content-length']
        return { size: length === undefined ? undefined : Number(length) }
      } catch (error) {
        // The answer to a HEAD has no body, and so no code.
        if (isAbsent(error) || (error instanceof S3Failure && error.status === 403)) return undefined
        throw error
      }
    })
  }

  async put(upload: Upload, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
    const { body, name } = upload
    const bucket = this.#open()
    const { place, requests } = bucket
    if (isWhole(body)) {
      await this.#try(signal, (context) => putObject(bucket, upload, body.length, context), onBytes)
      await this.#rights.uploaded(async () => (await this.get(name, signal)) !== undefined)
    } else if (!this.#knowsParts || (body.atMost <= place.wholeUpToBytes && !requests.givesDigests)) {
      await this.#putMeasured(upload, body, signal, onBytes)
    } else await this.#putInParts(upload, body, signal, onBytes)
  }

  close(): void {
    this.#bucket?.requests.close()
    this.#bucket = undefined
  }

  async #putInParts(upload: Upload, body: StreamBody, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
    const attempts: PartsContext['attempts'] = (attempt, either, onSent) => this.#try(either, attempt, onSent)
    try {
      await putInParts({ ...this.#open(), attempts }, { ...upload, body }, signal, onBytes)
    } catch (error) {
      const isUnknown = error instanceof S3Failure && NO_PARTS.has(error.status ?? 0)
      if (!isUnknown) throw error
      this.#knowsParts = false
      await this.#putMeasured(upload, body, signal, onBytes)
    }
  }

  /** S3 needs the length of a body beforehand. */
  async #putMeasured(upload: Upload, body: StreamBody, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
    await this.#try(
      signal,
      async (context) => {
        const sized = body.size === undefined ? await measured(body, context) : body
        await putObject(this.#open(), { ...upload, body: sized }, sized.size ?? 0, context)
      },
      onBytes,
    )
  }

  #try<R>(signal: AbortSignal, attempt: Attempt<R>, onBytes: OnBytes = () => undefined): Promise<R> {
    return this.#attempts(attempt, plainContext(signal, onBytes))
  }

  /** An invalid URL is a failure of the destination, reported when it is used. */
  #open(): Bucket {
    if (!this.#bucket) {
      const place = parseS3Url(this.#options.to)
      this.#bucket = { place, requests: new S3Requests(place, this.#options.network) }
    }
    return this.#bucket
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof S3Failure && error.status === 404 && error.code !== 'NoSuchBucket'
}

/** The answer says only that we are not permitted. */
function isRefused(error: unknown): boolean {
  return (
    error instanceof S3Failure &&
    error.status === 403 &&
    ['', 'AccessDenied', 'Forbidden'].includes(error.code)
  )
}
