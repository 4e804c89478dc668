import type { S3Client } from '@aws-sdk/client-s3'
import { SignatureV4 } from '@smithy/signature-v4'
import type { Agents } from './agents.ts'
import type { Answer } from './answer.ts'
import { exchange } from './exchange.ts'
import type { S3Object } from './s3-object.ts'
import { type SdkRequest, urlOf } from './sdk-handler.ts'

/** An answer that is an error, in the shape that the AWS SDK gives it. */
class S3Error extends Error {
  readonly $metadata: { httpStatusCode: number }
  readonly $response: { headers: Record<string, string> }

  constructor(code: string, message: string, { status, headers }: Answer) {
    super(message)
    this.name = code
    this.$metadata = { httpStatusCode: status }
    this.$response = { headers }
  }
}

/** What needs no escaping in a URL: the names of nearly all files of a cache. */
const PLAIN = /^[\w./-]+$/
const SIGNED_FOR = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/([^/]+)\/s3\/aws4_request,/

/**
 * The small requests to a bucket, of which there are three a path: signed by the SDK's own signer, and sent to where the
 * SDK sent the first one. Its client does the same and takes several times as long for each.
 */
export class S3Direct {
  /** Where the first request went, up to the name in the cache. */
  readonly #place: Pick<SdkRequest, 'protocol' | 'hostname' | 'port' | 'path'>
  readonly #signer: SignatureV4
  readonly #client: S3Client
  readonly #agents: Agents

  private constructor(place: SdkRequest, signer: SignatureV4, client: S3Client, agents: Agents) {
    this.#place = place
    this.#signer = signer
    this.#client = client
    this.#agents = agents
  }

  /**
   * @param request What the SDK made of a request for the file `name`.
   * @returns Undefined where that can't be imitated: signed in another way, or not at all.
   */
  static like(request: SdkRequest, name: string, client: S3Client, agents: Agents): S3Direct | undefined {
    const [, region] = SIGNED_FOR.exec(request.headers.authorization ?? '') ?? []
    if (region === undefined || !request.path.endsWith(name) || !PLAIN.test(name)) return undefined
    const { credentials, sha256 } = client.config
    const signer = new SignatureV4({ credentials, region, service: 's3', sha256, uriEscapePath: false })
    return new S3Direct({ ...request, path: request.path.slice(0, -name.length) }, signer, client, agents)
  }

  /** True for a name that it can ask for or put. */
  static takes(name: string): boolean {
    return PLAIN.test(name)
  }

  /** @throws {S3Error} where S3 answers with anything but the file. */
  async get(name: string, signal: AbortSignal): Promise<Answer> {
    return await this.#request('GET', name, {}, undefined, signal)
  }

  /** @throws {S3Error} where S3 doesn't take it. */
  async put(name: string, object: S3Object, body: Uint8Array, signal: AbortSignal): Promise<void> {
    const { ContentType, StorageClass } = object
    const headers = {
      'content-length': String(body.length),
      'content-type': ContentType,
      ...(StorageClass === undefined ? {} : { 'x-amz-storage-class': StorageClass }),
    }
    await this.#request('PUT', name, headers, body, signal)
  }

  async #request(
    method: 'GET' | 'PUT',
    name: string,
    more: Record<string, string>,
    body: Uint8Array | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { protocol, hostname, port, path } = this.#place
    const host = port === undefined ? hostname : `${hostname}:${port}`
    const place = { protocol, hostname, ...(port === undefined ? {} : { port }), path: path + name }
    const headers = { host, 'user-agent': 'nix-upload', ...more }
    // By the server's clock, as far as the SDK has learnt how far ours is from it.
    const signingDate = new Date(Date.now() + this.#client.config.systemClockOffset)
    const request = { ...place, method, headers, query: {}, body }
    const { headers: signed } = await this.#signer.sign(request, { signingDate })
    const url = urlOf({ ...place, method, headers: signed })
    const answer = await exchange({
      method,
      url,
      headers: signed,
      body,
      agents: this.#agents,
      signal,
      alive: () => undefined,
    })
    if (answer.status >= 200 && answer.status < 300) return answer
    throw errorOf(answer)
  }
}

function errorOf(answer: Answer): S3Error {
  const text = answer.body.toString()
  const [, code = answer.status === 404 ? 'NotFound' : 'Unknown'] = /<Code>([^<]+)<\/Code>/.exec(text) ?? []
  const [, message = ''] = /<Message>([^<]*)<\/Message>/.exec(text) ?? []
  return new S3Error(code, unescaped(message), answer)
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }

function unescaped(xml: string): string {
  return xml.replaceAll(/&(\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole)
}
