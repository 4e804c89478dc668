import { createHash, createHmac, type Hash, type Hmac } from 'node:crypto'
import type { SignatureV4 } from '@smithy/signature-v4'
import type { NetworkSettings } from '../../config/network-settings.ts'
import { Agents } from '../http/agents.ts'
import type { Answer } from '../http/answer.ts'
import { exchange } from '../http/exchange.ts'
import { networkFailure } from '../http/network-failure.ts'
import type { Outgoing } from '../outgoing.ts'
import type { TransportFailure } from '../transport-failure.ts'
import { awsCaFile } from './aws-profile.ts'
import { noCredentials } from './no-credentials.ts'
import { clockOffsetMs, ofClock, ofCredentials, type S3Failure, s3Failure } from './s3-failure.ts'
import { objectUrl, type S3Place } from './s3-url.ts'

/** A request for an object, or about one. */
export interface S3Request {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  /** Of the file, below the place's prefix. */
  name: string
  query?: Readonly<Record<string, string>>
  headers?: Readonly<Record<string, string>>
  body?: Outgoing
  /** The whole content of a body that is sent in pieces, if it is in memory. */
  content?: Uint8Array | undefined
}

/** Says that the body is not covered by the signature. */
const UNSIGNED = 'UNSIGNED-PAYLOAD'
/** S3 wants our clock to be right within a quarter of an hour. */
const CLOCK_TOLERANCE_MS = 60_000
/**
 * The signature of a request doesn't cover a larger body, such as a part of an archive: readers of the archive check its hash,
 * and hashing each part again takes as long as sending it.
 */
const HASHED_BYTES = 4 * 1024 * 1024

/** Codes of a refusal for lack of a digest. AWS uses `InvalidRequest` for other things, too, so a digest is tried once. */
const WANTS_DIGEST: ReadonlySet<string> = new Set(['InvalidRequest', 'MissingContentMD5'])

/** Makes requests to one bucket: signed with AWS Signature Version 4, one attempt each. */
export class S3Requests {
  readonly #place: S3Place
  readonly #settings: (() => Promise<NetworkSettings>) | undefined
  #agents: Agents | undefined
  #signer: Promise<SignatureV4> | undefined
  /** How far the clock of S3 is ahead of ours, as far as that was noticed. */
  #clockOffsetMs = 0
  /** Whether S3 needs a digest of each upload, as a bucket with Object Lock does. A refusal tells. */
  #givesDigests = false

  constructor(place: S3Place, settings?: () => Promise<NetworkSettings>) {
    this.#place = place
    this.#settings = settings
  }

  /** Whether only bytes in memory can be uploaded. */
  get givesDigests(): boolean {
    return this.#givesDigests
  }

  /**
   * @param what The request, in few words: `PUT nar/x`.
   * @throws {TransportFailure} if S3 refuses (`S3Failure`) or can't be reached.
   */
  async send(request: S3Request, what: string, signal: AbortSignal): Promise<Answer> {
    const { bucket } = this.#place
    const signedWith = { offsetMs: this.#clockOffsetMs, digest: this.#givesDigests }
    const { url, headers } = await this.#sign(request)
    const { method, body } = request
    const agents = this.#open()
    const answer = await exchange({ method, url, headers, body, agents, signal }).catch((error: unknown) => {
      throw networkFailure(error, `${what} in ${bucket}`) ?? error
    })
    // "A complete request can initially return 200 with an error" (S3 API, CompleteMultipartUpload).
    const isGood = answer.status >= 200 && answer.status < 300 && !(method === 'POST' && isError(answer))
    if (!isGood) throw this.#learnFrom(s3Failure(answer, `${what} in ${bucket}`), signedWith)
    return answer
  }

  close(): void {
    this.#agents?.close()
    this.#agents = undefined
    this.#signer = undefined
  }

  /** @param signedWith The state when the request was made: another request may have changed it meanwhile. */
  #learnFrom(failure: S3Failure, signedWith: { offsetMs: number; digest: boolean }): S3Failure {
    if (ofCredentials(failure.code)) this.#signer = undefined
    if (WANTS_DIGEST.has(failure.code) && !signedWith.digest) {
      this.#givesDigests = true
      return failure.toBeMadeAgain()
    }
    const offset = ofClock(failure.code) ? clockOffsetMs(failure.headers) : undefined
    if (offset === undefined || Math.abs(offset - signedWith.offsetMs) <= CLOCK_TOLERANCE_MS) return failure
    this.#clockOffsetMs = offset
    return failure.toBeMadeAgain()
  }

  async #sign(request: S3Request): Promise<{ url: URL; headers: Record<string, string> }> {
    const { method, name, query = {}, body } = request
    const url = objectUrl(this.#place, name, query)
    const headers = {
      host: url.host,
      'user-agent': 'nix-upload',
      'x-amz-content-sha256': contentHash(request.content ?? body),
      ...(body instanceof Uint8Array ? { 'content-length': String(body.length) } : {}),
      ...(this.#givesDigests ? digestOf(request.content ?? body) : {}),
      ...request.headers,
    }
    this.#signer ??= this.#makeSigner().catch((error: unknown) => {
      this.#signer = undefined
      throw error
    })
    const signer = await this.#signer
    const signingDate = new Date(Date.now() + this.#clockOffsetMs)
    const target = { protocol: url.protocol, hostname: url.hostname, path: url.pathname }
    const signed = await signer
      .sign({ ...target, method, headers, query: { ...query } }, { signingDate })
      .catch((error: unknown) => {
        // The credential files are read again next time: someone may correct them.
        this.#signer = undefined
        throw error
      })
    return { url, headers: signed.headers }
  }

  #open(): Agents {
    const { profile } = this.#place
    this.#agents ??= new Agents({ settings: this.#settings, caFile: () => awsCaFile(profile) })
    return this.#agents
  }

  /** The credential providers take a tenth of a second to load, so they are loaded only when needed. */
  async #makeSigner(): Promise<SignatureV4> {
    const [{ defaultProvider }, { SignatureV4 }, { credentialRequests }] = await Promise.all([
      import('@aws-sdk/credential-provider-node'),
      import('@smithy/signature-v4'),
      import('./credential-requests.ts'),
    ])
    const { region, profile } = this.#place
    const provider = defaultProvider({
      ignoreCache: true,
      clientConfig: { region, requestHandler: credentialRequests(this.#open()) },
      ...(profile === undefined ? {} : { profile }),
    })
    // Many requests may need them at the same time, and a program may have to run to find out why there are none.
    let why: Promise<TransportFailure> | undefined
    const credentials = async () =>
      await provider().catch(async (error: unknown) => {
        why ??= noCredentials(error, profile)
        throw await why
      })
    return new SignatureV4({ credentials, region, service: 's3', sha256: Sha256, uriEscapePath: false })
  }
}

/** A body that is sent in pieces as it is made can't have a digest: the digest would be known too late. */
function digestOf(body: Outgoing | undefined): Record<string, string> {
  if (body === undefined || isStream(body)) return {}
  return { 'content-md5': createHash('md5').update(body).digest('base64') }
}

function contentHash(body: Outgoing | undefined): string {
  if (isStream(body)) return UNSIGNED
  if (body && body.length > HASHED_BYTES) return UNSIGNED
  return createHash('sha256')
    .update(body ?? '')
    .digest('hex')
}

function isStream(body: Outgoing | undefined): body is AsyncIterable<Uint8Array> {
  return body !== undefined && !(body instanceof Uint8Array)
}

function isError({ body }: Answer): boolean {
  return body.includes('<Error>')
}

/** The signer's hash. */
class Sha256 {
  readonly #hash: Hash | Hmac

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    if (secret === undefined) this.#hash = createHash('sha256')
    else this.#hash = createHmac('sha256', typeof secret === 'string' ? secret : bytesOf(secret))
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === 'string' ? data : bytesOf(data))
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }

  /** The signer makes a new one each time. */
  reset(): void {
    throw new Error('this hash is used once')
  }
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
}
