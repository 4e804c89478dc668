// A binary cache over http(s) that is good by nature and can be told to misbehave, at any time while it runs.

import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { tmpdir } from 'node:os'
import { dirname, join, normalize } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What it does with a request instead of just serving it. */
export type Mood =
  /** Answers so: after it has read the body, or `early`, without reading on, as servers refuse what is too large. */
  | { status: number; headers?: Record<string, string>; body?: string; early?: boolean }
  /** Says and reads nothing more after so many bytes of the body, and keeps the connection; 0 is silence. */
  | { stallAfter: number }
  /** Cuts the connection after so many bytes of the body. */
  | { dropAfter: number }
  /** Waits before it serves the request. */
  | { delayMs: number }
  /** Answers 503 to what comes while it has so many in hand; those take so long. */
  | { mostAtOnce: number; delayMs: number; headers?: Record<string, string>; body?: string }
  /** Reads a PUT's body no faster than this. */
  | { bytesPerSecond: number }

/** Which requests a mood is for: all, unless told otherwise. */
export interface Scope {
  method?: 'GET' | 'HEAD' | 'PUT'
  path?: RegExp
  /** So many are served well before the mood comes. */
  skip?: number
  /** So many are in for it before it is over. */
  times?: number
}

export interface MoodyCacheOptions {
  /** What it asks for in basic authentication. */
  login?: { user: string; password: string }
  /** Speaks https, with a certificate that nobody trusts. */
  tls?: boolean
}

/** A request, noted when it comes in. */
export interface Seen {
  method: string
  path: string
  authorization: string | undefined
  /** What it was answered; undefined as long as it wasn't. */
  status: number | undefined
  /** How much of a PUT's body came in. */
  bytes: number
  contentType: string | undefined
}

/** Bytes of bodies that came in, and when, in milliseconds of `performance.now()`. */
export interface Arrival {
  at: number
  bytes: number
}

/** Starts a cache on a free port of 127.0.0.1. */
export async function startMoodyCache(options: MoodyCacheOptions = {}): Promise<MoodyCache> {
  const cache = new MoodyCache(await mkdtemp(join(tmpdir(), 'nix-upload-cache-')), options)
  await cache.start()
  return cache
}

export class MoodyCache {
  /** What was uploaded. */
  readonly dir: string
  readonly seen: Seen[] = []
  readonly arrivals: Arrival[] = []
  /** How many requests there were at a time, at the most. */
  peak = 0
  port = 0
  readonly #options: MoodyCacheOptions
  #moods: { mood: Mood; scope: Scope; matched: number }[] = []
  #inHand = 0
  #server: ReturnType<typeof createServer> | undefined

  constructor(dir: string, options: MoodyCacheOptions) {
    this.dir = dir
    this.#options = options
  }

  /** Its store URL. */
  get url(): string {
    return `${this.#options.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`
  }

  /** Listens; again on the same port after a `stop()`. */
  async start(): Promise<void> {
    const listener: RequestListener = (request, response) => {
      this.peak = Math.max(this.peak, ++this.#inHand)
      response.on('close', () => {
        this.#inHand--
      })
      this.#handle(request, response).catch(() => request.destroy())
    }
    const server = this.#options.tls
      ? createSecureServer(await selfSigned(), listener)
      : createServer(listener)
    // What is slow or silent here is meant to be.
    Object.assign(server, { requestTimeout: 0, headersTimeout: 0, timeout: 0 })
    server.listen(this.port, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('The server has no port')
    this.port = address.port
    this.#server = server
  }

  /** From now on; the first mood that fits a request is the one. */
  behave(mood: Mood, scope: Scope = {}): void {
    this.#moods.push({ mood, scope, matched: 0 })
  }

  /** Back to its good nature; the list of what it has seen begins anew. */
  calm(): void {
    this.#moods = []
    this.seen.length = 0
    this.arrivals.length = 0
    this.peak = 0
  }

  /** How many requests of a kind there were. */
  count(method: string, path = /^/): number {
    return this.seen.filter((request) => request.method === method && path.test(request.path)).length
  }

  /**
   * How many connections to it are open, as the kernel of the clients' machine, which is this one, sees it: a server that
   * doesn't read on isn't told of the end.
   */
  async connections(): Promise<number> {
    const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n')
    const isOpen = new RegExp(
      `^\\s*\\d+: \\S+ \\S+:${this.port.toString(16).toUpperCase().padStart(4, '0')} 01 `,
    )
    return lines.filter((line) => isOpen.test(line)).length
  }

  /** Stops listening and cuts all connections: who comes now is refused. What was uploaded stays. */
  async stop(): Promise<void> {
    const server = this.#server
    if (!server) return
    this.#server = undefined
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  /** Stops, and removes what was uploaded. */
  async cleanup(): Promise<void> {
    await this.stop()
    await rm(this.dir, { recursive: true, force: true })
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? ''
    const path = decodeURIComponent(request.url?.replace(/\?.*/, '') ?? '/')
    const authorization = request.headers.authorization
    const contentType = request.headers['content-type']
    const seen: Seen = { method, path, authorization, status: undefined, bytes: 0, contentType }
    this.seen.push(seen)
    response.on('finish', () => {
      seen.status = response.statusCode
    })
    const mood = this.#moodFor(seen)
    if (mood && 'mostAtOnce' in mood && this.#inHand > mood.mostAtOnce) {
      const { mostAtOnce: _, delayMs: __, ...said } = mood
      return await answer(request, response, { ...said, status: 503 })
    }
    if (mood && 'delayMs' in mood) await sleep(mood.delayMs)
    if (mood && 'status' in mood) return await answer(request, response, mood)
    if (!this.#isAuthorized(authorization)) {
      const headers = { 'www-authenticate': 'Basic realm="cache"' }
      return await answer(request, response, { status: 401, headers })
    }
    const file = join(this.dir, normalize(path))
    if (method === 'PUT') await this.#receive(request, response, file, seen, mood)
    else await send(request, response, file, mood)
  }

  #moodFor(seen: Seen): Mood | undefined {
    const found = this.#moods.find((entry) => {
      const { method, path, skip = 0, times = Number.POSITIVE_INFINITY } = entry.scope
      if ((method ?? seen.method) !== seen.method || (path && !path.test(seen.path))) return false
      entry.matched++
      return entry.matched > skip && entry.matched <= skip + times
    })
    return found?.mood
  }

  #isAuthorized(authorization: string | undefined): boolean {
    const { login } = this.#options
    if (!login) return true
    return authorization === `Basic ${Buffer.from(`${login.user}:${login.password}`).toString('base64')}`
  }

  async #receive(
    request: IncomingMessage,
    response: ServerResponse,
    file: string,
    seen: Seen,
    mood: Mood | undefined,
  ): Promise<void> {
    await mkdir(dirname(file), { recursive: true })
    const partial = `${file}.${this.seen.indexOf(seen)}.partial`
    const output = createWriteStream(partial)
    if (isOver(mood, 0)) return await misbehave(request, mood)
    for await (const chunk of request) {
      const bytes: Buffer = chunk
      seen.bytes += bytes.length
      this.arrivals.push({ at: performance.now(), bytes: bytes.length })
      if (isOver(mood, seen.bytes)) return await misbehave(request, mood)
      if (mood && 'bytesPerSecond' in mood) await sleep((bytes.length / mood.bytesPerSecond) * 1000)
      if (!output.write(bytes)) await once(output, 'drain')
    }
    output.end()
    await once(output, 'finish')
    // As from any good server, nobody gets half of a file.
    await rename(partial, file)
    response.writeHead(201).end()
  }
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  file: string,
  mood: Mood | undefined,
): Promise<void> {
  const stats = await stat(file).catch(() => undefined)
  if (isOver(mood, 0)) return await misbehave(request, mood)
  if (!stats?.isFile()) return void response.writeHead(404).end('not here')
  response.writeHead(200, { 'content-length': stats.size })
  if (request.method === 'HEAD') return void response.end()
  if (mood && ('stallAfter' in mood || 'dropAfter' in mood)) {
    const bytes = 'stallAfter' in mood ? mood.stallAfter : mood.dropAfter
    const part = (await readFile(file)).subarray(0, bytes)
    await new Promise<void>((resolve) => response.write(part, () => resolve()))
    return await misbehave(request, mood)
  }
  createReadStream(file).pipe(response)
}

function isOver(mood: Mood | undefined, bytes: number): boolean {
  if (!mood) return false
  if ('stallAfter' in mood) return bytes >= mood.stallAfter
  return 'dropAfter' in mood && bytes >= mood.dropAfter
}

async function misbehave(request: IncomingMessage, mood: Mood | undefined): Promise<void> {
  if (mood && 'dropAfter' in mood) request.socket.destroy()
  // Otherwise it stalls until the other side has had enough.
  else await once(request.socket, 'close')
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body, early }: { status: number } & Partial<Extract<Mood, { status: number }>>,
): Promise<void> {
  if (!early) for await (const _ of request);
  response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : (body ?? 'moody'))
}

async function selfSigned(): Promise<{ key: string; cert: string }> {
  const pem = await readFile(new URL('self-signed.pem', import.meta.url), 'utf8')
  return { key: pem, cert: pem }
}
