import type { Answer } from './answer.ts'

/** The base URL of an http binary cache's files; the part after `?` is for Nix. */
export function baseOf(to: string): URL {
  const url = new URL(to)
  url.search = ''
  url.hash = ''
  url.pathname = url.pathname.replace(/\/*$/, '/')
  return url
}

/** The URL of a file of a binary cache. */
export function urlOf(base: URL, name: string): URL {
  const path = name.split('/').map(encodeURIComponent).join('/')
  // Nix asks for realisations with a plain colon, and some servers treat `%3A` as something else.
  return new URL(base.href + path.replaceAll('%3A', ':'))
}

/**
 * The URL of an archive, as Nix understands what a narinfo says: relative to the cache, with a query if the server needs one there,
 * or the URL of another place.
 */
export function archiveUrlOf(base: URL, reference: string): URL {
  const href = /^https?:\/\//.test(reference) ? reference : base.href + reference
  return URL.canParse(href) ? new URL(href) : urlOf(base, reference)
}

/** A URL to show: without user name and password, and without the signature of a redirection. */
export function shownUrl(url: URL): string {
  return url.origin + url.pathname
}

/**
 * The target of a redirection, if it is permitted: not from https to http. A PUT is redirected only if the server says that it
 * stays a PUT.
 */
export function redirectOf(
  { status, headers }: Answer,
  method: 'GET' | 'HEAD' | 'PUT' | 'MKCOL',
  from: URL,
): URL | undefined {
  const isMeant = [307, 308].includes(status) || (method !== 'PUT' && [301, 302, 303].includes(status))
  if (!isMeant || headers.location === undefined || !URL.canParse(headers.location, from.href))
    return undefined
  const url = new URL(headers.location, from)
  const isAllowed = url.protocol === 'https:' || (url.protocol === 'http:' && from.protocol === 'http:')
  return isAllowed ? url : undefined
}
