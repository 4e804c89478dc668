import { isBinaryCache } from './store-url.ts'

/** Ways to a store: we write a binary cache ourselves, or `nix copy` does whatever Nix has a URL for. */
export type Via = 'writer' | 'nix'

/**
 * Parameters that only Nix itself can follow: files beside the archives, and files that are stored compressed, which a
 * header of the upload must say.
 */
const NIX_ONLY = new Set(['index-debug-info', 'narinfo-compression', 'ls-compression', 'log-compression'])

/** The way where nobody says which. */
export function defaultVia(url: string): Via {
  return isBinaryCache(url) && nixOnlyParameter(url) === undefined ? 'writer' : 'nix'
}

/** The parameter of a store URL, if there is one, for which only `nix copy` will do. */
function nixOnlyParameter(url: string): string | undefined {
  const isOn = (value: string) => value !== '' && value !== 'false' && value !== 'none'
  return parametersOf(url).find(([key, value]) => NIX_ONLY.has(key) && isOn(value))?.[0]
}

function parametersOf(url: string): [string, string][] {
  const [, query = ''] = /\?([^#]*)/.exec(url) ?? []
  return query.split('&').flatMap((pair): [string, string][] => {
    const [, key, value = ''] = /^([^=]+)=?(.*)$/.exec(pair) ?? []
    return key === undefined ? [] : [[key, value]]
  })
}
