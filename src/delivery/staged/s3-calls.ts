import { Readable } from 'node:stream'
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { type Agents, makeAgents } from './agents.ts'
import { outgoing, type Range, sizeOf, takeTurn } from './body-stream.ts'
import type { Flow } from './flow.ts'
import { Meter } from './meter.ts'
import { withPatience } from './patience.ts'
import { RequestFailure } from './request-failure.ts'
import { S3Direct } from './s3-direct.ts'
import { codeOfS3, s3Failure } from './s3-failure.ts'
import type { S3Place } from './s3-url.ts'
import { type SdkRequest, sdkHandler } from './sdk-handler.ts'
import type { Body, TransportOptions } from './transport.ts'

type Sdk = typeof import('@aws-sdk/client-s3')

/** What a call goes out with. */
export interface CallContext {
  sdk: Sdk
  client: S3Client
  /** Where the SDK is to be told to stop. */
  options: { abortSignal: AbortSignal }
  /** For small requests; from when the SDK has made the first one. */
  direct: S3Direct | undefined
  /** To be told of what the SDK makes of a request for the file of that name. */
  onRequest: (name: string) => (request: SdkRequest) => void
  /** The body, made anew for each attempt. */
  body: SdkBody
}

type SdkBody = Readable | Buffer

interface Opened {
  sdk: Sdk
  client: S3Client
  direct?: S3Direct | undefined
}

/** The place, how calls are made to it, and how many. */
export interface S3Way {
  place: S3Place
  calls: S3Calls
  flow: Flow
}

export interface Upload {
  body: Body
  range?: Range
  onBytes: (count: number) => void
}

/** Our credentials, or what is made of them, may be mended while we run. */
const OF_CREDENTIALS = /Credentials|Signature|AccessKey|Token|no AWS credentials/

const OF_CLOCK = new Set(['RequestTimeTooSkewed', 'RequestExpired'])

const ignore = () => {}
const SILENT = { trace: ignore, debug: ignore, info: ignore, warn: ignore, error: ignore }

/** Makes calls of the AWS SDK to one place, one attempt each, with the limits and in the terms of this room. */
export class S3Calls {
  readonly #place: S3Place
  readonly #options: TransportOptions
  #agents: Agents | undefined
  #opened: Promise<Opened> | undefined

  constructor(place: S3Place, options: TransportOptions) {
    this.#place = place
    this.#options = options
  }

  /**
   * @param what What is asked, in few words: `PUT nar/x`.
   * @throws {RequestFailure} where S3 refuses or can't be reached.
   */
  async call<T>(
    what: string,
    signal: AbortSignal,
    make: (context: CallContext) => Promise<T>,
    upload?: Upload,
  ): Promise<T> {
    const { limits = [], progressTimeoutMs } = this.#options
    const meter = new Meter(upload?.onBytes ?? (() => {}))
    try {
      this.#opened ??= this.#open()
      const opened = await this.#opened
      await takeTurn(limits, signal)
      return await withPatience(progressTimeoutMs, signal, async (abortSignal, alive) => {
        const onBytes = (bytes: number) => {
          alive()
          meter.add(bytes)
        }
        const body = await this.#bodyOf(upload, abortSignal, onBytes)
        try {
          const { sdk, client, direct } = opened
          const onRequest = (name: string) => (request: SdkRequest) => this.#learn(opened, name, request)
          return await make({ sdk, client, direct, onRequest, options: { abortSignal }, body })
        } finally {
          if (body instanceof Readable) body.destroy()
        }
      })
    } catch (error) {
      meter.takeBack()
      signal.throwIfAborted()
      const failure = s3Failure(error, `${what} in ${this.#place.bucket}`)
      if (!(failure instanceof RequestFailure) || OF_CREDENTIALS.test(failure.message))
        this.#opened = undefined
      // The SDK reads off such an answer how far our clock is from that of S3.
      if (OF_CLOCK.has(codeOfS3(error) ?? '')) await this.#opened?.then((opened) => delete opened.direct)
      throw failure
    }
  }

  close(): void {
    this.#agents?.close()
    this.#agents = undefined
    this.#opened = undefined
  }

  #learn(opened: Opened, name: string, request: SdkRequest): void {
    if (this.#agents) opened.direct ??= S3Direct.like(request, name, opened.client, this.#agents)
  }

  /** A short text goes out as a whole, because S3 then checks that it came in unchanged. */
  async #bodyOf(
    upload: Upload | undefined,
    signal: AbortSignal,
    onBytes: (count: number) => void,
  ): Promise<SdkBody> {
    if (!upload) return Buffer.alloc(0)
    const { limits = [] } = this.#options
    const { body, range } = upload
    if ('file' in body) return await outgoing(body, { limits, signal, onBytes, ...(range && { range }) })
    for (const limit of limits) await limit.take(sizeOf(body), signal)
    onBytes(sizeOf(body))
    return Buffer.from(body.text)
  }

  /** The SDK takes a tenth of a second to load, which only those pay who use it. */
  async #open(): Promise<Opened> {
    const [sdk, { defaultProvider }] = await Promise.all([
      import('@aws-sdk/client-s3'),
      import('@aws-sdk/credential-provider-node'),
    ])
    const { region, endpoint, isSecure, isPathStyle, profile } = this.#place
    this.#agents ??= makeAgents()
    const config: S3ClientConfig = {
      region,
      tls: isSecure,
      forcePathStyle: isPathStyle,
      requestHandler: sdkHandler(this.#agents),
      // Files are read anew with each client, because someone may have mended them.
      credentials: defaultProvider({
        ignoreCache: true,
        clientConfig: { region },
        ...(profile === undefined ? {} : { profile }),
      }),
      // What it has to say is thrown as well.
      logger: SILENT,
      // Retries are the flow's business.
      maxAttempts: 1,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      ...(endpoint === undefined ? {} : { endpoint }),
    }
    return { sdk, client: new sdk.S3Client(config) }
  }
}
