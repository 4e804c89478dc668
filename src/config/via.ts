import { wantsNix } from './store-parameters.ts'
import { isBinaryCache } from './store-url.ts'

/** Ways to a store: we write a binary cache ourselves, or `nix copy` does whatever Nix has a URL for. */
export type Via = 'writer' | 'nix'

/** The way where nobody says which. */
export function defaultVia(url: string): Via {
  return isBinaryCache(url) && !wantsNix(url) ? 'writer' : 'nix'
}
