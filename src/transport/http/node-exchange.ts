import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Way } from './agents.ts'
import { type Answer, collect, headersOf } from './answer.ts'
import type { HttpRequest } from './http-request.ts'

/** How long we wait for permission to send a large body, as curl does. */
const CONTINUE_MS = 1_000

/**
 * Makes one http request with Node's own client, which knows of proxies and of `Expect: 100-continue`. Where the server
 * answers before it has the whole body, that is the answer, unless it is a good one; where it closes the connection then,
 * the connection goes.
 * @throws As Node does.
 */
export async function nodeExchange(wanted: Omit<HttpRequest, 'agents'>, way: Way): Promise<Answer> {
  const { url, method, headers, body, signal } = wanted
  const { agent, connectMs } = way
  signal.throwIfAborted()
  const isSecure = url.protocol === 'https:'
  const options = { method, headers, agent }
  const request = isSecure ? httpsRequest(url, options) : httpRequest(url, options)
  const abort = () => request.destroy(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  const stopTimer = limitConnecting(request, connectMs)
  try {
    const response = await (isStream(body) ? stream(request, body) : whole(request, body))
    const status = response.statusCode ?? 0
    const answer = {
      status,
      headers: headersOf(response.headers),
      body: await collect(response),
    }
    if (!request.writableFinished) request.destroy()
    return answer
  } catch (error) {
    const cause = request.errored
    request.destroy()
    signal.throwIfAborted()
    // The cause of the broken connection, rather than the fact.
    throw cause ?? error
  } finally {
    signal.removeEventListener('abort', abort)
    stopTimer()
  }
}

function isStream(body: HttpRequest['body']): body is AsyncIterable<Uint8Array> {
  return body !== undefined && !(body instanceof Uint8Array)
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
  })
}

function whole(request: ClientRequest, body: Uint8Array | undefined): Promise<IncomingMessage> {
  const answered = answerTo(request)
  request.end(body)
  return answered
}

/** @returns A good answer only after everything was sent. */
async function stream(request: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<IncomingMessage> {
  const answered = answerTo(request)
  const sent = send(request, body, answered)
  // The first error counts; a second one only follows from it.
  answered.catch(() => {})
  sent.catch(() => {})
  const response = await Promise.race([answered, sent.then(() => answered)])
  if (isGood(response)) await sent
  return response
}

async function send(
  request: ClientRequest,
  body: AsyncIterable<Uint8Array>,
  answered: Promise<IncomingMessage>,
): Promise<void> {
  if (request.getHeader('expect') !== undefined) {
    const told = new Promise<void>((resolve) => request.once('continue', resolve))
    request.flushHeaders()
    const response = await Promise.race([told, answered, sleep(CONTINUE_MS, undefined, { ref: false })])
    if (response && !isGood(response)) return
  }
  // Each piece is sent before the next one is read: nothing accumulates here.
  for await (const chunk of body) {
    // An answer that has arrived is read first: if the server has also closed the connection, the answer is lost with a failed write.
    await nextTurn()
    await write(request, chunk)
  }
  request.end()
}

/** Some servers say so before they read the body. It isn't there before it was sent. */
function isGood({ statusCode = 0 }: IncomingMessage): boolean {
  return statusCode < 300
}

/** @throws An error that the connection is gone; the request has the cause, if it knows one. */
function write(request: ClientRequest, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const cut = () => reject(Object.assign(new Error('the server reads no more'), { code: 'ECONNRESET' }))
    // If the server closes the connection after an early answer, Node calls nobody back.
    request.once('close', cut)
    request.write(chunk, (error) => {
      request.off('close', cut)
      if (error) cut()
      else resolve()
    })
  })
}

function limitConnecting(request: ClientRequest, connectMs: number): () => void {
  // At once: where there is a proxy, there is no socket before that has answered.
  const timer = setTimeout(() => {
    const error = new Error(`no connection within ${connectMs / 1000} s`)
    request.destroy(Object.assign(error, { code: 'ETIMEDOUT' }))
  }, connectMs)
  const stop = () => clearTimeout(timer)
  request.once('socket', (socket) => {
    if (!socket.connecting) stop()
    else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', stop)
  })
  return stop
}
