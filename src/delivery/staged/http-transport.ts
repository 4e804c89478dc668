import { type Agents, makeAgents } from './agents.ts'
import type { Answer } from './answer.ts'
import { outgoing, sizeOf, takeTurn } from './body-stream.ts'
import { contentTypeOf } from './content-type.ts'
import { decoded } from './decode.ts'
import { exchange } from './exchange.ts'
import { Flow } from './flow.ts'
import { httpFailure } from './http-failure.ts'
import { HttpLogin } from './http-login.ts'
import { baseOf, redirectOf, shownUrl, urlOf } from './http-url.ts'
import { Meter } from './meter.ts'
import { networkFailure } from './network-failure.ts'
import { withPatience } from './patience.ts'
import { ReadRights } from './read-rights.ts'
import type { Body, Transport, TransportOptions } from './transport.ts'

/** A body that is larger waits until the server has seen the headers: it may refuse them. */
const EXPECT_FROM_BYTES = 1024 * 1024
const MOST_REDIRECTS = 5
/** What Nix takes for "not there"; 403 is what S3 behind a web server says where listing is not allowed. */
const NOT_THERE = new Set([403, 404, 410])

/** A binary cache behind http:// or https://. */
export function createHttpTransport(options: TransportOptions): Transport {
  return new HttpTransport(options)
}

interface Asked {
  method: 'GET' | 'PUT'
  name: string
  signal: AbortSignal
  upload?: { body: Body; onBytes: (count: number) => void }
}

class HttpTransport implements Transport {
  readonly #options: TransportOptions
  readonly #base: URL
  readonly #login: HttpLogin
  readonly #flow: Flow
  readonly #rights: ReadRights
  /** Made when they are needed: what they need may be missing. */
  #agents: Agents | undefined
  /** False once the server has shown that it doesn't know `Expect: 100-continue`. */
  #knowsExpect = true

  constructor(options: TransportOptions) {
    this.#options = options
    this.#base = baseOf(options.to)
    this.#login = new HttpLogin(options.netrcFile)
    this.#flow = options.flow ?? new Flow()
    this.#rights = new ReadRights(options.onWarning)
  }

  async get(name: string, signal: AbortSignal): Promise<string | undefined> {
    return await this.#flow.run(async () => {
      const answer = await this.#request({ method: 'GET', name, signal })
      if (answer.status === 403) this.#rights.refused()
      if (NOT_THERE.has(answer.status)) return undefined
      this.#check(answer, `GET ${name}`)
      this.#rights.granted()
      return decoded(answer.body, answer.headers['content-encoding'], name)
    }, signal)
  }

  async put(name: string, body: Body, signal: AbortSignal, onBytes: (count: number) => void): Promise<void> {
    await this.#flow.run(async () => {
      const answer = await this.#request({ method: 'PUT', name, signal, upload: { body, onBytes } })
      this.#check(answer, `PUT ${name}`)
    }, signal)
    if ('text' in body) await this.#rights.uploaded(async () => (await this.get(name, signal)) !== undefined)
  }

  close(): void {
    this.#agents?.close()
  }

  /** One request, wherever the server sends it. */
  async #request(asked: Asked): Promise<Answer> {
    let url = urlOf(this.#base, asked.name)
    for (let redirects = 0; ; redirects++) {
      await takeTurn(this.#options.limits ?? [], asked.signal)
      const answer = await this.#exchange(asked, url)
      const target = redirects < MOST_REDIRECTS ? redirectOf(answer, asked.method, url) : undefined
      if (target) url = target
      else if (answer.status === 417 && this.#knowsExpect) this.#knowsExpect = false
      else return answer
    }
  }

  async #exchange({ method, name, signal, upload }: Asked, url: URL): Promise<Answer> {
    const { progressTimeoutMs, limits = [] } = this.#options
    this.#agents ??= makeAgents()
    const agents = this.#agents
    const headers = { ...(await this.#loginHeaders(url)), ...this.#bodyHeaders(name, upload?.body) }
    const meter = new Meter(upload?.onBytes ?? (() => {}))
    try {
      const answer = await withPatience(progressTimeoutMs, signal, async (both, alive) => {
        const onBytes = (bytes: number) => {
          alive()
          meter.add(bytes)
        }
        const body = upload && (await outgoing(upload.body, { limits, signal: both, onBytes }))
        return await exchange({ method, url, headers, body, agents, signal: both, alive })
      })
      if (!isGood(answer)) meter.takeBack()
      return answer
    } catch (error) {
      meter.takeBack()
      throw networkFailure(error, `${method} ${shownUrl(url)}`) ?? error
    }
  }

  /** Credentials are not for those to whom a server sends us. */
  async #loginHeaders(url: URL): Promise<Record<string, string>> {
    const authorization =
      url.origin === this.#base.origin ? await this.#login.headerFor(this.#base) : undefined
    return { 'user-agent': 'nix-upload', ...(authorization === undefined ? {} : { authorization }) }
  }

  #bodyHeaders(name: string, body: Body | undefined): Record<string, string> {
    if (!body) return {}
    const size = sizeOf(body)
    const isLarge = size > EXPECT_FROM_BYTES && this.#knowsExpect
    return {
      'content-length': `${size}`,
      'content-type': contentTypeOf(name),
      ...(isLarge ? { expect: '100-continue' } : {}),
    }
  }

  #check(answer: Answer, what: string): void {
    if (isGood(answer)) return
    if (answer.status === 401) this.#login.forget()
    throw httpFailure(answer, what)
  }
}

function isGood({ status }: Answer): boolean {
  return status >= 200 && status < 300
}
