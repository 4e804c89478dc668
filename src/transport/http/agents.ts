import { existsSync, readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { Dispatcher } from 'undici'
import { UserError, wordsOf } from '../../util/user-error.ts'

/** Where Nix looks for CA certificates when no variable says where. */
const CA_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt',
]

/** A host that doesn't answer at all would hold up a request for minutes. */
export const CONNECT_MS = 15_000
/** Where a name has several addresses; a quarter of a second, Node's default, is less than some round trips. */
const NEXT_ADDRESS_MS = 3_000

const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY']

/** The connections to a destination, kept for the next request. */
export interface Agents {
  http: HttpAgent
  https: HttpsAgent
  /** Connections of undici's. None where there is a proxy: it doesn't agree with curl on which of the variables counts. */
  dispatcher(): Promise<Dispatcher | undefined>
  /** Ends idle connections. */
  close(): void
}

/**
 * Makes agents that go through the proxy which http_proxy, https_proxy and no_proxy name, and trust the certificates
 * that Nix trusts: those of NIX_SSL_CERT_FILE or SSL_CERT_FILE, or else the system's.
 * @throws {UserError} where the file of a variable can't be read.
 */
export function makeAgents(env: NodeJS.ProcessEnv = process.env): Agents {
  const options = {
    keepAlive: true,
    // The one used last is the least likely to have been closed by the server.
    scheduling: 'lifo' as const,
    proxyEnv: env,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
  }
  const ca = caCertificates(env)
  const http = new HttpAgent(options)
  const https = new HttpsAgent({ ...options, ...(ca === undefined ? {} : { ca }) })
  const hasProxy = PROXY_VARIABLES.some((name) => env[name])
  let dispatcher: Promise<Dispatcher> | undefined
  const closed = new AbortController()
  const close = () => {
    http.destroy()
    https.destroy()
    closed.abort()
  }
  return {
    http,
    https,
    async dispatcher() {
      if (hasProxy) return undefined
      // Where it can't be loaded, for want of memory, say, it is tried again.
      dispatcher ??= makeDispatcher(ca, closed.signal).catch((error: unknown) => {
        dispatcher = undefined
        throw error
      })
      return await dispatcher
    },
    close,
  }
}

/**
 * undici is loaded where it is needed: it takes as long as some hundred requests.
 * @param signal Ends all connections. undici's own `destroy` leaves those that are still being made.
 */
async function makeDispatcher(ca: string | undefined, signal: AbortSignal): Promise<Dispatcher> {
  const { Agent, buildConnector } = await import('undici')
  const connect = buildConnector({
    signal,
    timeout: CONNECT_MS,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
    ...(ca === undefined ? {} : { ca }),
  })
  return new Agent({
    connect: (options, callback) => {
      // Node connects all the same where a signal was aborted before, and undici makes a new connection for a request that
      // was aborted at the end.
      if (signal.aborted) callback(closed(), null)
      else connect(options, callback)
    },
    // Whoever asks has a patience of their own.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
}

function closed(): Error {
  return Object.assign(new Error('no connections are made any more'), { code: 'ECONNABORTED' })
}

function caCertificates(env: NodeJS.ProcessEnv): string | undefined {
  const file = env.NIX_SSL_CERT_FILE || env.SSL_CERT_FILE || CA_FILES.find((path) => existsSync(path))
  if (file === undefined) return undefined
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new UserError(
      `the CA certificates of NIX_SSL_CERT_FILE or SSL_CERT_FILE can't be read: ${wordsOf(error)}`,
    )
  }
}
