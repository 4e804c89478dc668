import type { Answer } from './answer.ts'

/** The URL below which the files of an http binary cache lie; what stands behind `?` is meant for Nix. */
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
  // Nix asks for realisations with a plain colon, and not every server takes `%3A` for the same.
  return new URL(base.href + path.replaceAll('%3A', ':'))
}

/** A URL as it may be shown: without user name and password, and without what a redirection signed. */
export function shownUrl(url: URL): string {
  return url.origin + url.pathname
}

/**
 * Where a server sends us, if it may: not from https to http. A PUT goes elsewhere only where the server says that it
 * shall be a PUT there too.
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
