import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Dispatcher } from 'undici'
import type { NetworkSettings } from '../../config/network-settings.ts'
import { proxyFor, proxyProblem } from '../../config/proxy.ts'
import { UserError } from '../../util/user-error.ts'
import { MOST_AT_ONCE } from '../adaptive-concurrency.ts'
import { caCertificates } from './ca-certificates.ts'

/** Without this, a host that doesn't answer would block a request for minutes. */
const CONNECT_MS = 15_000
/** If a name has several addresses. Node's default, a quarter of a second, is shorter than some round trips. */
const NEXT_ADDRESS_MS = 3_000

/** How requests get to a server; connections are kept for the next request. */
export interface Way {
  /** Node's own. */
  agent: HttpAgent
  /** undici's; none with a proxy. */
  dispatcher(): Promise<Dispatcher | undefined>
  /** How long a connection may take. */
  connectMs: number
}

/** Settings for connections to a destination. */
export interface AgentsOptions {
  /** Called before the first connection. */
  settings?: (() => Promise<NetworkSettings>) | undefined
  /** CA certificates that come before those of the settings. */
  caFile?: (() => Promise<string | undefined>) | undefined
  env?: NodeJS.ProcessEnv
}

/**
 * The connections to a destination, and to hosts that it redirects to. They go through the proxies that curl, and so Nix, would use,
 * and trust the certificates that Nix trusts.
 */
export class Agents {
  readonly #options: AgentsOptions
  readonly #closed = new AbortController()
  readonly #agents: HttpAgent[] = []
  /** By origin. */
  readonly #ways = new Map<string, Promise<Way>>()

  constructor(options: AgentsOptions = {}) {
    this.#options = options
  }

  /** @throws {UserError} if the proxy or the CA certificates can't be used. */
  to(url: URL): Promise<Way> {
    const { origin } = url
    const known = this.#ways.get(origin)
    if (known) return known
    const way = this.#find(url)
    this.#ways.set(origin, way)
    // The problem may be fixed by the next time.
    way.catch(() => this.#ways.delete(origin))
    return way
  }

  /** Ends idle connections. */
  close(): void {
    for (const agent of this.#agents) agent.destroy()
    this.#closed.abort()
  }

  async #find(url: URL): Promise<Way> {
    const { settings, caFile, env = process.env } = this.#options
    const problem = proxyProblem(url, env)
    if (problem !== undefined) throw new UserError(problem)
    const proxy = proxyFor(url, env)?.url
    const {
      connectTimeoutMs: connectMs = CONNECT_MS,
      connections = MOST_AT_ONCE,
      ...others
    } = (await settings?.()) ?? {}
    const isSecure = url.protocol === 'https:'
    const ca = isSecure ? await caCertificates((await caFile?.()) ?? others.caFile, env) : undefined
    const trust = ca === undefined ? {} : { ca }
    const options = {
      keepAlive: true,
      // The one used last is the least likely to have been closed by the server.
      scheduling: 'lifo' as const,
      autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
      // It was decided above which hosts have a proxy.
      ...(proxy === undefined ? {} : { proxyEnv: { http_proxy: proxy, https_proxy: proxy } }),
    }
    const agent = isSecure ? new HttpsAgent({ ...options, ...trust }) : new HttpAgent(options)
    this.#agents.push(agent)
    let made: Promise<Dispatcher> | undefined
    const dispatcher = async () => {
      if (proxy !== undefined) return undefined
      // If it can't be loaded, for lack of memory, say, that is tried again.
      const how = { ...trust, timeout: connectMs, connections, signal: this.#closed.signal }
      made ??= makeDispatcher(how).catch((error: unknown) => {
        made = undefined
        throw error
      })
      return await made
    }
    return { agent, dispatcher, connectMs }
  }
}

/**
 * Loads undici when it is needed, and only the needed parts: all of it takes as long as some hundred requests, and 14 MB
 * more.
 * @param how Its signal ends all connections. undici's own `destroy` leaves those that are still being made. Without a limit,
 * undici makes a second connection for each request that follows another one at once.
 */
async function makeDispatcher(how: {
  ca?: string
  timeout: number
  connections: number
  signal: AbortSignal
}): Promise<Dispatcher> {
  const [{ default: Agent }, { default: buildConnector }] = await Promise.all([
    import('undici/lib/dispatcher/agent.js'),
    import('undici/lib/core/connect.js'),
  ])
  const connect = buildConnector({
    ...how,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
  })
  return new Agent({
    connect: (options, callback) => {
      // If a signal was aborted before, Node connects anyway; and undici makes a new connection for a request that
      // was aborted at the end.
      if (how.signal.aborted) callback(closed(), null)
      else connect(options, callback)
    },
    connections: how.connections,
    // The caller has its own timeout.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
}

function closed(): Error {
  return Object.assign(new Error('no connections are made any more'), { code: 'ECONNABORTED' })
}
