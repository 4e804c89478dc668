import type { NetworkSettings } from '../../config/network-settings.ts'
import { Agents } from '../http/agents.ts'
import type { Answer } from '../http/answer.ts'
import { exchange } from '../http/exchange.ts'
import { networkFailure } from '../http/network-failure.ts'
import { awsCaFile } from './aws-profile.ts'
import { s3Failure } from './s3-failure.ts'
import { type S3Request, S3Signer } from './s3-signer.ts'
import type { S3Place } from './s3-url.ts'

/** Makes signed requests to one bucket, one attempt each. */
export class S3Requests {
  readonly #place: S3Place
  readonly #settings: (() => Promise<NetworkSettings>) | undefined
  #agents: Agents | undefined
  readonly #signer: S3Signer

  constructor(place: S3Place, settings?: () => Promise<NetworkSettings>) {
    this.#place = place
    this.#settings = settings
    this.#signer = new S3Signer(place, () => this.#open())
  }

  /** Whether only bytes in memory can be uploaded. */
  get givesDigests(): boolean {
    return this.#signer.signedWith.digest
  }

  /**
   * @param what The request, in few words: `PUT nar/x`.
   * @throws {TransportFailure} if S3 refuses (`S3Failure`) or can't be reached.
   */
  async send(request: S3Request, what: string, signal: AbortSignal): Promise<Answer> {
    const { bucket } = this.#place
    const { signedWith } = this.#signer
    const { url, headers } = await this.#signer.sign(request)
    const { method, body } = request
    const agents = this.#open()
    const answer = await exchange({ method, url, headers, body, agents, signal }).catch((error: unknown) => {
      throw networkFailure(error, `${what} in ${bucket}`) ?? error
    })
    // "A complete request can initially return 200 with an error" (S3 API, CompleteMultipartUpload).
    const isGood = answer.status >= 200 && answer.status < 300 && !(method === 'POST' && isError(answer))
    if (!isGood) throw this.#signer.learnFrom(s3Failure(answer, `${what} in ${bucket}`), signedWith)
    return answer
  }

  close(): void {
    this.#agents?.close()
    this.#agents = undefined
    this.#signer.forget()
  }

  #open(): Agents {
    const { profile } = this.#place
    this.#agents ??= new Agents({ settings: this.#settings, caFile: () => awsCaFile(profile) })
    return this.#agents
  }
}

function isError({ body }: Answer): boolean {
  return /<Error[\s>]/.test(body.toString('latin1'))
}
