import { type Attempt, type AttemptContext, type Attempts, plainContext } from '../attempt.ts'
import { revocable } from '../byte-counter.ts'
import { isWhole, measured, type Outgoing, sending, sizeOf } from '../outgoing.ts'
import { ReadRights } from '../read-rights.ts'
import type { Body, OnBytes, Transport, Upload } from '../transport.ts'
import { attemptsFor, type TransportOptions } from '../transport-options.ts'
import { Agents } from './agents.ts'
import type { Answer } from './answer.ts'
import { Collections } from './collections.ts'
import { decoded } from './decode.ts'
import { exchange } from './exchange.ts'
import { httpFailure } from './http-failure.ts'
import { HttpLogin } from './http-login.ts'
import { archiveUrlOf, baseOf, redirectOf, shownUrl, urlOf } from './http-url.ts'
import { networkFailure } from './network-failure.ts'

/** A larger body waits until the server has seen the headers and may refuse them. */
const EXPECT_FROM_BYTES = 1024 * 1024
const MOST_REDIRECTS = 5
const MAKE_MS = 30_000
/** What Nix treats as "not there"; S3 behind a web server answers 403 if listing is not allowed. */
const NOT_THERE = new Set([403, 404, 410])
/** Answers of a server without HEAD, or that doesn't permit it. */
const NO_HEAD = new Set([400, 405, 501])
/** The answer of a server that needs the length of a body beforehand. */
const WANTS_LENGTH = new Set([400, 411, 501, 505])

/** We need to know what is there, not what a proxy or a CDN remembers. */
const ASK_ANEW = { 'cache-control': 'no-cache' }

interface Asked {
  method: 'GET' | 'HEAD' | 'PUT' | 'MKCOL'
  name: string
  /** Where it is, if not simply below the base URL. */
  url?: URL
  upload?: Upload
}

/** A place behind http:// or https://: files are fetched by GET and uploaded by PUT. */
export class HttpTransport implements Transport {
  readonly #base: URL
  readonly #login: HttpLogin
  readonly #rights: ReadRights
  readonly #attempts: Attempts
  readonly #network: TransportOptions['network']
  #agents: Agents | undefined
  /** False if the server has shown that it doesn't know `Expect: 100-continue`. */
  #knowsExpect = true
  readonly #collections = new Collections((name) => this.#makeCollection(name))
  /** True if the server has refused a body without a length. */
  #wantsLength = false

  constructor(options: TransportOptions) {
    this.#base = baseOf(options.to)
    this.#network = options.network
    this.#login = new HttpLogin(options.netrcFile, options.network)
    this.#rights = new ReadRights(options.onWarning)
    this.#attempts = attemptsFor(options)
  }

  get isWriteOnly(): boolean {
    return this.#rights.areWriteOnly
  }

  async get(name: string, signal: AbortSignal): Promise<string | undefined> {
    return await this.#try(signal, async (context) => {
      const answer = await this.#request({ method: 'GET', name }, context)
      if (answer.status === 403) this.#rights.refused()
      if (NOT_THERE.has(answer.status)) return undefined
      this.#check(answer, `GET ${name}`)
      this.#rights.granted()
      return decoded(answer.body, answer.headers['content-encoding'], name)
    })
  }

  async head(name: string, signal: AbortSignal): Promise<{ size: number | undefined } | undefined> {
    return await this.#try(signal, async (context) => {
      const url = archiveUrlOf(this.#base, name)
      const answer = await this.#request({ method: 'HEAD', name, url }, context)
      if (NOT_THERE.has(answer.status) || NO_HEAD.has(answer.status)) return undefined
      // A query may be a secret.
      this.#check(answer, `HEAD ${name.replace(/\?.*/s, '')}`)
      const { 'content-length': length, 'content-encoding': encoding = 'identity' } = answer.headers
      const isExact = length !== undefined && encoding === 'identity'
      return { size: isExact ? Number(length) : undefined }
    })
  }

  async put(upload: Upload, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
    const { name, body } = upload
    await this.#try(
      signal,
      async (context) => {
        if (isWhole(body) || body.size !== undefined) return await this.#put(upload, context)
        if (!this.#wantsLength && (await this.#isTakenUnmeasured(upload, context))) return
        await this.#put({ ...upload, body: await measured(body, context) }, context)
        this.#wantsLength = true
      },
      onBytes,
    )
    if (isWhole(body)) await this.#rights.uploaded(async () => (await this.get(name, signal)) !== undefined)
  }

  close(): void {
    this.#agents?.close()
    this.#agents = undefined
  }

  async #put(upload: Upload, context: AttemptContext): Promise<void> {
    const { name } = upload
    this.#check(await this.#request({ method: 'PUT', name, upload }, context), `PUT ${name}`)
  }

  /** Uploads a stream of unknown length; if the server needs the length, it is found out first. */
  async #isTakenUnmeasured(upload: Upload, context: AttemptContext): Promise<boolean> {
    const { name } = upload
    const counting = revocable(context)
    const answer = await this.#request({ method: 'PUT', name, upload }, counting.context)
    if (WANTS_LENGTH.has(answer.status)) {
      counting.takeBack()
      return false
    }
    this.#check(answer, `PUT ${name}`)
    return true
  }

  #try<R>(signal: AbortSignal, attempt: Attempt<R>, onBytes: OnBytes = () => undefined): Promise<R> {
    return this.#attempts(attempt, plainContext(signal, onBytes))
  }

  /** One request, with its redirects. */
  async #request(asked: Asked, context: AttemptContext): Promise<Answer> {
    let { url = urlOf(this.#base, asked.name) } = asked
    let mayLackDirectory = asked.method === 'PUT'
    for (let redirects = 0; ; redirects++) {
      const at = url
      const { upload } = asked
      // Another request may find that out while this one is under way.
      const mayExpect = this.#knowsExpect
      const { context: counting, takeBack } = revocable(context)
      const answer = upload
        ? await sending(upload.body, counting, (body) => this.#exchange(asked, at, context.signal, body))
        : await this.#exchange(asked, at, context.signal)
      const target = redirects < MOST_REDIRECTS ? redirectOf(answer, asked.method, url) : undefined
      if (target) url = target
      else if (answer.status === 417 && mayExpect) this.#knowsExpect = false
      else if (answer.status === 409 && mayLackDirectory && (await this.#collections.madeFor(asked.name)))
        mayLackDirectory = false
      else return answer
      takeBack()
    }
  }

  async #makeCollection(name: string): Promise<boolean> {
    const signal = AbortSignal.timeout(MAKE_MS)
    const { status } = await this.#exchange({ method: 'MKCOL', name }, urlOf(this.#base, name), signal)
    return status === 201
  }

  async #exchange(
    { method, upload }: Asked,
    url: URL,
    signal: AbortSignal,
    body?: Outgoing,
  ): Promise<Answer> {
    this.#agents ??= new Agents({ settings: this.#network })
    const headers = {
      ...(await this.#loginHeaders(url)),
      ...(upload ? this.#uploadHeaders(upload) : ASK_ANEW),
    }
    try {
      return await exchange({ method, url, headers, body, agents: this.#agents, signal })
    } catch (error) {
      throw networkFailure(error, `${method} ${shownUrl(url)}`) ?? error
    }
  }

  /** Our login here is not sent to other hosts that the server leads to; these may have one of their own. */
  async #loginHeaders(url: URL): Promise<Record<string, string>> {
    const isOpen = url.protocol === 'http:' && this.#base.protocol === 'https:'
    const ofOther = async () => (isOpen ? undefined : await this.#login.headerForTarget(url))
    const authorization = await (url.origin === this.#base.origin
      ? this.#login.headerFor(this.#base)
      : ofOther())
    return { 'user-agent': 'nix-upload', ...(authorization === undefined ? {} : { authorization }) }
  }

  #uploadHeaders({ contentType, body }: Upload): Record<string, string> {
    const size = sizeOf(body)
    const isLarge = mostBytes(body) > EXPECT_FROM_BYTES && this.#knowsExpect
    return {
      ...(size === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': `${size}` }),
      'content-type': contentType,
      ...(isLarge ? { expect: '100-continue' } : {}),
    }
  }

  #check(answer: Answer, what: string): void {
    if (answer.status >= 200 && answer.status < 300) return
    if (answer.status === 401) this.#login.forget()
    throw httpFailure(answer, what)
  }
}

function mostBytes(body: Body): number {
  return isWhole(body) ? body.length : (body.size ?? body.atMost)
}
