import { own } from '../util/own.ts'
import { nearest } from '../util/spelling.ts'
import { compressionOf } from './compression.ts'
import { flagProblem, truthOf } from './store-flags.ts'
import { isBinaryCache, schemeOf } from './store-url.ts'

/**
 * How a parameter of a store URL is used:
 * `writer`: we follow it. `nix`: only Nix can follow it, so `nix copy` writes the cache. `reader`: it matters for downloads
 * only. A text: it is not supported, and the text says what to use instead.
 */
type Use = 'writer' | 'nix' | 'reader' | { instead: string }

const OWN_RETRIES: Use = { instead: 'retry-min and retry-max of the destination set how often it is tried' }

/** Parameters of every binary cache (nix: src/libstore/include/nix/store/binary-cache-store.hh, store-api.hh). */
const OF_CACHES: Readonly<Record<string, Use>> = {
  compression: 'writer',
  'compression-level': 'writer',
  'parallel-compression': 'writer',
  'write-nar-listing': 'writer',
  'secret-key': 'writer',
  'secret-keys': 'writer',
  'index-debug-info': 'nix',
  'local-nar-cache': 'reader',
  'path-info-cache-size': 'reader',
  priority: 'reader',
  store: 'nix',
  'system-features': 'reader',
  trusted: 'reader',
  'want-mass-query': 'reader',
}

/** Those of caches over http; S3 has some of them (http-binary-cache-store.hh, s3-binary-cache-store.hh). */
const OVER_HTTP: Readonly<Record<string, Use>> = {
  'narinfo-compression': 'nix',
  'ls-compression': 'nix',
  'log-compression': 'nix',
  'tls-certificate': 'nix',
  'tls-private-key': 'nix',
  'retry-attempts': OWN_RETRIES,
  'retry-delay': OWN_RETRIES,
  'retry-delay-rate-limited': OWN_RETRIES,
  'retry-max-delay': OWN_RETRIES,
}

const OF_S3: Readonly<Record<string, Use>> = {
  'addressing-style': 'writer',
  'buffer-size': { instead: 'multipart-chunk-size says how large the parts are' },
  endpoint: 'writer',
  'multipart-chunk-size': 'writer',
  'multipart-threshold': 'writer',
  'multipart-upload': 'writer',
  profile: 'writer',
  region: 'writer',
  scheme: 'writer',
  'storage-class': 'writer',
}

/** Those that Nix takes without a value, as if they were left out. It refuses an empty number, an empty flag, an empty word. */
const MAY_BE_EMPTY = new Set([
  'endpoint',
  'local-nar-cache',
  'log-compression',
  'ls-compression',
  'narinfo-compression',
  'profile',
  'scheme',
  'secret-key',
  'secret-keys',
  'storage-class',
  'store',
  'system-features',
  'tls-certificate',
  'tls-private-key',
])

function usesOf(url: string): Readonly<Record<string, Use>> {
  const scheme = schemeOf(url)
  if (scheme === 'file') return OF_CACHES
  return scheme === 's3' ? { ...OF_CACHES, ...OVER_HTTP, ...OF_S3 } : { ...OF_CACHES, ...OVER_HTTP }
}

/** The parameters of a store URL, decoded as Nix does it: a plus sign stays one. */
export function parametersOf(url: string): URLSearchParams {
  const [, query = ''] = /\?([^#]*)/.exec(url) ?? []
  return new URLSearchParams(query.replaceAll('+', '%2B'))
}

/**
 * Says what is wrong with the parameters of a binary cache's URL: none of them may be ignored.
 * @returns undefined if all can be used.
 */
export function parameterProblem(url: string): string | undefined {
  if (!isBinaryCache(url)) return undefined
  const uses = usesOf(url)
  const parameters = parametersOf(url)
  for (const [name, value] of parameters) {
    const use = own(uses, name)
    if (use === undefined) return `unknown parameter "${name}"${suggestion(name, Object.keys(uses))}`
    if (typeof use === 'object') return `the parameter "${name}" is not supported: ${use.instead}`
    if (value === '' && !MAY_BE_EMPTY.has(name))
      return `expected a value behind the parameter "${name}"; leave it out for the default`
  }
  return flagProblem(parameters)
}

/** Whether a store URL needs something that only Nix can do. */
export function wantsNix(url: string): boolean {
  const uses = usesOf(url)
  const parameters = parametersOf(url)
  const isOn = (value: string) => value !== '' && value !== 'none' && truthOf(value) !== false
  return [...parameters].some(([name, value]) => own(uses, name) === 'nix' && isOn(value))
}

/** The key files in a store URL, to sign with. As with Nix, only commas separate them, so a name may have blanks. */
export function keyFilesIn(url: string): string[] {
  const parameters = parametersOf(url)
  const many = (parameters.get('secret-keys') ?? '').split(',')
  return [parameters.get('secret-key') ?? '', ...many].filter((file) => file !== '')
}

/** @throws {UserError} if the compression that a store URL asks for makes no sense. */
export function checkCompression(url: string): void {
  if (isBinaryCache(url) && !wantsNix(url)) compressionOf(parametersOf(url))
}

function suggestion(unknown: string, known: readonly string[]): string {
  const near = nearest(unknown, known)
  return near === undefined ? `; known parameters: ${known.join(', ')}` : `; did you mean "${near}"?`
}
