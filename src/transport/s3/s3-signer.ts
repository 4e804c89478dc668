import type { SignatureV4 } from '@smithy/signature-v4'
import type { Agents } from '../http/agents.ts'
import type { Outgoing } from '../outgoing.ts'
import type { TransportFailure } from '../transport-failure.ts'
import { noCredentials } from './no-credentials.ts'
import { clockOffsetMs, ofClock, ofCredentials, type S3Failure } from './s3-failure.ts'
import { contentHash, digestOf, Sha256 } from './s3-hashes.ts'
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

/** S3 wants our clock to be right within a quarter of an hour. */
const CLOCK_TOLERANCE_MS = 60_000
/** Codes of a refusal for lack of a digest. AWS uses `InvalidRequest` for other things, too, so a digest is tried once. */
const WANTS_DIGEST: ReadonlySet<string> = new Set(['InvalidRequest', 'MissingContentMD5'])

/** What was learnt about the S3 at the other end. */
interface SignedWith {
  /** How far its clock is ahead of ours. */
  offsetMs: number
  /** Whether it needs a digest of each upload, as a bucket with Object Lock does. */
  digest: boolean
}

/** Signs requests with AWS Signature Version 4, and learns from refusals what S3 wants. */
export class S3Signer {
  readonly #place: S3Place
  readonly #agents: () => Agents
  #signer: Promise<SignatureV4> | undefined
  #signedWith: Readonly<SignedWith> = { offsetMs: 0, digest: false }

  /** @param agents Connections for requests that fetch credentials. */
  constructor(place: S3Place, agents: () => Agents) {
    this.#place = place
    this.#agents = agents
  }

  /** How requests are signed now. */
  get signedWith(): Readonly<SignedWith> {
    return this.#signedWith
  }

  /** Has the credentials looked up anew. */
  forget(): void {
    this.#signer = undefined
  }

  /**
   * Changes how later requests are signed, if a refusal says what was wrong.
   * @param signedWith The state when the request was made: another request may have changed it meanwhile.
   * @returns The failure, which says whether the request is to be made again.
   */
  learnFrom(failure: S3Failure, signedWith: Readonly<SignedWith>): S3Failure {
    if (ofCredentials(failure.code)) this.forget()
    if (WANTS_DIGEST.has(failure.code) && !signedWith.digest) {
      this.#signedWith = { ...this.#signedWith, digest: true }
      return failure.toBeMadeAgain()
    }
    const offset = ofClock(failure.code) ? clockOffsetMs(failure.headers) : undefined
    if (offset === undefined || Math.abs(offset - signedWith.offsetMs) <= CLOCK_TOLERANCE_MS) return failure
    this.#signedWith = { ...this.#signedWith, offsetMs: offset }
    return failure.toBeMadeAgain()
  }

  /** Signs a request. */
  async sign(request: S3Request): Promise<{ url: URL; headers: Record<string, string> }> {
    const { method, name, query = {}, body } = request
    const url = objectUrl(this.#place, name, query)
    const headers = {
      host: url.host,
      'user-agent': 'nix-upload',
      'x-amz-content-sha256': contentHash(request.content ?? body),
      ...(body instanceof Uint8Array ? { 'content-length': String(body.length) } : {}),
      ...(this.#signedWith.digest ? digestOf(request.content ?? body) : {}),
      ...request.headers,
    }
    this.#signer ??= this.#makeSigner().catch((error: unknown) => {
      this.forget()
      throw error
    })
    const signer = await this.#signer
    const signingDate = new Date(Date.now() + this.#signedWith.offsetMs)
    const target = { protocol: url.protocol, hostname: url.hostname, path: url.pathname }
    const signed = await signer
      .sign({ ...target, method, headers, query: { ...query } }, { signingDate })
      .catch((error: unknown) => {
        // The credential files are read again next time: someone may correct them.
        this.forget()
        throw error
      })
    return { url, headers: signed.headers }
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
      clientConfig: { region, requestHandler: credentialRequests(this.#agents()) },
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
