import { isNetworkCache } from './store-url.ts'

/** Ways to a binary cache over a network: from a stage on this machine, many files at a time, or by `nix copy`. */
export const VIAS = ['stage', 'nix'] as const
export type Via = (typeof VIAS)[number]

/** Parameters of a store's URL that say how archives are made. */
const PACKING = new Set(['compression', 'compression-level', 'parallel-compression', 'write-nar-listing'])

/**
 * Parameters that only Nix itself can follow: files beside the archives, and files that are stored compressed, which a
 * header of the upload must say.
 */
const NIX_ONLY = new Set(['index-debug-info', 'narinfo-compression', 'ls-compression', 'log-compression'])

/** Whether a store URL is of a kind that can be staged. */
export function canBeStaged(url: string): boolean {
  return isNetworkCache(url) && nixOnlyParameter(url) === undefined
}

/** The way where nobody says which. */
export function defaultVia(url: string): Via {
  return canBeStaged(url) ? 'stage' : 'nix'
}

/** The parameter of a store URL, if there is one, for which only `nix copy` will do. */
export function nixOnlyParameter(url: string): string | undefined {
  const isOn = (value: string) => value !== '' && value !== 'false' && value !== 'none'
  return parametersOf(url).find(([key, value]) => NIX_ONLY.has(key) && isOn(value))?.[0]
}

/** Those parameters of a store URL that say how archives are made, in a fixed order. */
export function packingQuery(url: string): string {
  return parametersOf(url)
    .filter(([key]) => PACKING.has(key))
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join('&')
}

function parametersOf(url: string): [string, string][] {
  const [, query = ''] = /\?([^#]*)/.exec(url) ?? []
  return query.split('&').flatMap((pair): [string, string][] => {
    const [, key, value = ''] = /^([^=]+)=?(.*)$/.exec(pair) ?? []
    return key === undefined ? [] : [[key, value]]
  })
}
