import type { Dispatcher } from 'undici'
import { type Answer, collect, headersOf } from './answer.ts'
import type { Exchange } from './exchange.ts'

/** A request that is sent at once. */
interface Whole extends Omit<Exchange, 'agents'> {
  body?: Uint8Array | string | undefined
}

/**
 * Makes one small http request with undici.
 * @throws A system error or one of undici's (`UND_ERR_…`); the signal's reason where that was aborted.
 */
export async function undiciExchange(wanted: Whole, dispatcher: Dispatcher): Promise<Answer> {
  const { url, method, headers, body, signal, alive } = wanted
  try {
    const response = await dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers,
      body: body ?? null,
      signal,
    })
    alive()
    return {
      status: response.statusCode,
      headers: headersOf(response.headers),
      body: await collect(response.body, alive),
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}
