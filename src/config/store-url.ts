import { printable } from '../util/printable.ts'

/** Stores that hold compressed archives and narinfos; signing and compression are set in their URL. */
const NETWORK_CACHES = new Set(['http', 'https', 's3'])
const BINARY_CACHES = new Set([...NETWORK_CACHES, 'file'])
const SCHEMES = new Set([...BINARY_CACHES, 'ssh', 'ssh-ng', 'unix', 'local'])

/** Up to the last `@`, with what does not belong into a password but people put there; a port has none behind it. */
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

/** The directory that a `file://` URL names: without its parameters, and percent-decoded, as Nix has it. */
export function fileOf(url: string): string {
  const path = url.replace(/^file:\/\//, '').replace(/[?#].*/, '')
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/**
 * Says what is wrong with a store URL.
 * @returns undefined where it will do; otherwise what was expected, in words.
 */
export function storeUrlProblem(url: string): string | undefined {
  if (url.startsWith('/')) {
    const path = printable(url)
    return `expected a store URL: "file://${path}" for a binary cache, "local?root=${path}" for a Nix store`
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
    return 'a password does not belong into the URL, where every local user could read it; put it into netrc-file'
  }
  if (/^[^:]*:\/\/(?:[^/?#]*@)?-/.test(url)) {
    return `expected a host behind "${scheme}://" that does not begin with "-"`
  }
  return undefined
}

/** Text as it may be shown: with `…` for the password of a URL in it. */
export function withoutPassword(text: string): string {
  return text.replaceAll(PASSWORDS, '$1…@')
}

/** A store URL with parameters added; one that it has already is left as it is. */
export function withParameters(url: string, parameters: Readonly<Record<string, string>>): string {
  const [base = '', query = ''] = splitOnce(url, '?')
  const present = new Set(query.split('&').map((pair) => splitOnce(pair, '=')[0]))
  const added = Object.entries(parameters)
    .filter(([key]) => !present.has(key))
    .map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll('%2F', '/')}`)
  const all = [...(query === '' ? [] : [query]), ...added]
  return all.length === 0 ? base : `${base}?${all.join('&')}`
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
