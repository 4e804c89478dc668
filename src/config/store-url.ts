import { normalize } from 'node:path'
import { printable } from '../util/printable.ts'

/** Binary caches: stores of compressed archives and narinfos, with signing and compression set in the URL. */
const NETWORK_CACHES = new Set(['http', 'https', 's3'])
const BINARY_CACHES = new Set([...NETWORK_CACHES, 'file'])
const SCHEMES = new Set([...BINARY_CACHES, 'ssh', 'ssh-ng', 'unix', 'local'])

/** The store that the paths come from: the one of this machine, without a parameter that makes it another. */
const OWN_STORE = /^(?:auto|daemon|local(?::\/\/)?|unix:\/\/)(?:\?(?!(?:.*&)?(?:root|real|state|store)=).*)?$/

/** The password: up to the last `@`, also with characters that should be escaped. After a port comes no `@`. */
const PASSWORDS = /(:\/\/[^/?#:@\s]*:)(?!\d*(?:[/?#'"\s]|$))\S*@/g
const PASSWORD = new RegExp(PASSWORDS.source)

/** The scheme of a store URL: `s3` of `s3://bucket`, `local` of `local?root=/x`. */
export function schemeOf(url: string): string {
  return /^([a-z][a-z0-9+-]*)(?=:\/\/|\?|$)/.exec(url)?.[1] ?? ''
}

/** True for a store that is a binary cache. */
export function isBinaryCache(url: string): boolean {
  return BINARY_CACHES.has(schemeOf(url))
}

/** True for a binary cache that is reached over a network. */
export function isNetworkCache(url: string): boolean {
  return NETWORK_CACHES.has(schemeOf(url))
}

/** The directory that a `file://` URL names: without its parameters, percent-decoded, and without `..`, as with Nix. */
export function fileOf(url: string): string {
  const path = url.replace(/^file:\/\//, '').replace(/[?#].*/, '')
  try {
    return plainPath(decodeURIComponent(path))
  } catch {
    return plainPath(path)
  }
}

function plainPath(path: string): string {
  return normalize(path).replace(/(.)\/+$/, '$1')
}

/**
 * Says what is wrong with a store URL.
 * @returns undefined if it can be used; otherwise what was expected.
 */
export function storeUrlProblem(url: string): string | undefined {
  if (url.startsWith('/')) {
    const path = printable(url)
    return `expected a store URL: "file://${path}" for a binary cache, "local?root=${path}" for a Nix store`
  }
  if (OWN_STORE.test(url)) {
    return 'expected a store other than the local one, which has the paths already: "file:///DIRECTORY" for a binary cache, "local?root=/DIRECTORY" for a Nix store'
  }
  const scheme = schemeOf(url)
  if (!SCHEMES.has(scheme)) {
    return `expected a store URL: file://, http://, https://, s3://, ssh://, ssh-ng://, unix:// or local?root=`
  }
  if (/[\s\p{Cc}]/u.test(url)) {
    return 'expected a store URL without white space (write it as %20) or control characters'
  }
  if (scheme !== 'local' && scheme !== 'unix' && !/:\/\/[^?#]/.test(url)) {
    return `expected a place behind "${scheme}://"`
  }
  if (/^https?:/.test(url) && PASSWORD.test(url)) {
    return 'a password in the URL could be read by every local user; put it into netrc-file'
  }
  if (scheme === 's3') {
    const problem = bucketProblem(url)
    if (problem !== undefined) return problem
  }
  if (isNetworkCache(url)) {
    const problem = placeProblem(url, scheme)
    if (problem !== undefined) return problem
  }
  if (/^[^:]*:\/\/(?:[^/?#]*@)?-/.test(url)) {
    return `expected a host behind "${scheme}://" that does not begin with "-"`
  }
  return undefined
}

/** What no Nix takes for the place of a cache on a network either, and what would upload to another place than was meant. */
function placeProblem(url: string, scheme: string): string | undefined {
  try {
    decodeURIComponent(url)
  } catch {
    return 'expected hexadecimal digits behind each "%", of UTF-8; write a percent sign that is meant as %25'
  }
  if (/^[^:]*:\/\/\//.test(url) || !URL.canParse(url)) {
    return scheme === 's3'
      ? 'expected the name of a bucket behind "s3://"'
      : `expected a host behind "${scheme}://", and no port above 65535`
  }
  return undefined
}

/** Kinds of buckets that some S3 services have, and that are not supported. */
function bucketProblem(url: string): string | undefined {
  const [, bucket = ''] = /^s3:\/\/([^/?#]*)/.exec(url) ?? []
  if (bucket.startsWith('arn:')) return 'expected the name of a bucket behind "s3://"; ARNs are not supported'
  if (bucket.includes(':')) {
    return 'expected the name of a bucket behind "s3://"; "tenant:bucket" is not supported, nor is a port: an endpoint is a parameter (?endpoint=…)'
  }
  if (bucket.endsWith('--x-s3'))
    return 'directory buckets (S3 Express) are not supported: use a general purpose bucket'
  return undefined
}

/** Text that may be shown: passwords of URLs are replaced by `…`. */
export function withoutPassword(text: string): string {
  return text.replaceAll(PASSWORDS, '$1…@')
}

/** Adds parameters to a store URL; those that it has already stay as they are. */
export function withParameters(url: string, parameters: Readonly<Record<string, string>>): string {
  const [base = '', query = ''] = splitOnce(url, '?')
  const present = new Set(query.split('&').map((pair) => splitOnce(pair, '=')[0]))
  const added = Object.entries(parameters)
    .filter(([key]) => !present.has(key))
    .map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll('%2F', '/')}`)
  const all = [...(query === '' ? [] : [query]), ...added]
  return all.length === 0 ? base : `${base}?${all.join('&')}`
}

/** Takes parameters out of a store URL; the others stay as they are. */
export function withoutParameters(url: string, names: readonly string[]): string {
  const [base, query] = splitOnce(url, '?')
  const pairs = query.split('&').filter((pair) => !names.includes(splitOnce(pair, '=')[0]))
  return query === '' || pairs.length === 0 ? base : `${base}?${pairs.join('&')}`
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
