import { SendFailure } from '../route.ts'
import type { Transport } from './transport.ts'

/** Tells that something is a binary cache, and for which store. */
export const CACHE_INFO = 'nix-cache-info'

/**
 * Makes sure that a destination is a cache, and for this store.
 * @returns Whether it was one before.
 * @throws {SendFailure} where it is for another store, or can't be asked.
 */
export async function ensureCacheInfo(
  transport: Transport,
  storeDir: string,
  signal: AbortSignal,
): Promise<boolean> {
  const text = await transport.get(CACHE_INFO, signal)
  if (text === undefined) {
    await transport.put(CACHE_INFO, { text: `StoreDir: ${storeDir}\n` }, signal, () => undefined)
    return false
  }
  const [, theirs = storeDir] = /^StoreDir: *(.*?) *$/m.exec(text) ?? []
  if (theirs === storeDir) return true
  const message = `the destination is a cache for ${theirs}, as its nix-cache-info says, and the store here is ${storeDir}`
  throw new SendFailure({ blame: 'destination', permanent: false, message })
}
