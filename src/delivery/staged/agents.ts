import { existsSync, readFileSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { UserError, wordsOf } from '../../config/user-error.ts'

/** Where Nix looks for CA certificates when no variable says where. */
const CA_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt',
]

/** The connections to a destination, kept for the next request. */
export interface Agents {
  http: HttpAgent
  https: HttpsAgent
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
    // Where a name has several addresses; a quarter of a second, Node's default, is less than some round trips.
    autoSelectFamilyAttemptTimeout: 3_000,
  }
  const ca = caCertificates(env)
  const http = new HttpAgent(options)
  const https = new HttpsAgent({ ...options, ...(ca === undefined ? {} : { ca }) })
  const close = () => {
    http.destroy()
    https.destroy()
  }
  return { http, https, close }
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
