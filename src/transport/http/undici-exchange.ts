import type { Dispatcher } from 'undici'
import { onAbort } from '../../util/on-abort.ts'
import { codeOf } from '../../util/user-error.ts'
import { type Answer, BoundedBody, headersOf } from './answer.ts'
import type { HttpRequest } from './http-request.ts'

/** A request that is sent at once. */
interface Whole extends Omit<HttpRequest, 'agents'> {
  body?: Uint8Array | undefined
}

/** The server sent `100 Continue` unasked, which undici can't handle. */
export class UnaskedContinue extends Error {
  override name = 'UnaskedContinue'
}

/**
 * Makes one small http request with undici. It obeys the signal only after it has a connection, so `stallTimeout` doesn't rely
 * on that.
 * @throws A system error, with a code that Node's own client would give it; the signal's reason where that was aborted.
 */
export async function undiciExchange(wanted: Whole, dispatcher: Dispatcher): Promise<Answer> {
  const { url, method, headers, body, signal } = wanted
  signal.throwIfAborted()
  try {
    return await new Promise((resolve, reject) => {
      const request = {
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers,
        body: body ?? null,
        // undici ends the connection after a HEAD unless told not to.
        reset: false,
      }
      dispatcher.dispatch(request, new AnswerReader(signal, resolve, reject))
    })
  } catch (error) {
    signal.throwIfAborted()
    throw asNodeHasIt(error)
  }
}

/**
 * Reads an answer as it comes in. undici's own `request` makes a stream of each answer, which takes longer than the rest of a
 * small request.
 */
class AnswerReader implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal
  readonly #resolve: (answer: Answer) => void
  readonly #reject: (error: unknown) => void
  #stop: () => void = () => undefined
  #status = 0
  #headers: Answer['headers'] = {}
  readonly #body = new BoundedBody()

  constructor(signal: AbortSignal, resolve: (answer: Answer) => void, reject: (error: unknown) => void) {
    this.#signal = signal
    this.#resolve = resolve
    this.#reject = reject
  }

  /** It may be called again, if the first connection was closed before anything was sent. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    const abort = () => controller.abort(new Error('nobody wants the answer any more'))
    this.#stop()
    if (this.#signal.aborted) abort()
    else this.#stop = onAbort(this.#signal, abort)
  }

  onResponseStart(_: unknown, status: number, headers: Parameters<typeof headersOf>[0]): void {
    this.#status = status
    this.#headers = headersOf(headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, bytes: Buffer): void {
    const error = this.#body.add(bytes)
    if (error) controller.abort(error)
  }

  onResponseEnd(): void {
    this.#stop()
    this.#resolve({ status: this.#status, headers: this.#headers, body: this.#body.whole() })
  }

  onResponseError(_: unknown, error: unknown): void {
    this.#stop()
    this.#reject(error)
  }
}

/** By undici's own codes. Its other codes all mean a broken connection. */
const CODES: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: 'ETIMEDOUT',
  UND_ERR_HEADERS_OVERFLOW: 'HPE_HEADER_OVERFLOW',
}

function asNodeHasIt(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const code = codeOf(error) ?? ''
  if (error.name === 'HTTPParserError') return withCode(error, isCut(error) ? 'ECONNRESET' : 'HPE_INVALID')
  if (code === 'UND_ERR_SOCKET' && error.message === 'bad response') return new UnaskedContinue(error.message)
  return code.startsWith('UND_ERR_') ? withCode(error, CODES[code] ?? 'ECONNRESET') : error
}

/** The connection ended within the answer. */
function isCut({ message }: Error): boolean {
  return message.includes('EOF')
}

function withCode(cause: Error, code: string): Error {
  return Object.assign(new Error(cause.message, { cause }), { code })
}
