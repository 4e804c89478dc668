import { wantsNix } from './store-parameters.ts'
import { isBinaryCache } from './store-url.ts'

/** Ways to a store: we write a binary cache ourselves, or `nix copy` writes to any store that Nix knows. */
export type Via = 'writer' | 'nix'

/** The default way. */
export function defaultVia(url: string): Via {
  return isBinaryCache(url) && !wantsNix(url) ? 'writer' : 'nix'
}
