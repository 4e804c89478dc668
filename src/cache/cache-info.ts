import type { Transport } from '../transport/transport.ts'
import { UploadFailure } from '../util/verdict.ts'
import { contentTypeOf } from './content-type.ts'
import { noCache } from './known-paths.ts'

/** The file that marks a binary cache, and says for which store it is. */
export const CACHE_INFO = 'nix-cache-info'

/**
 * Makes sure that a destination is a cache, and for this store.
 * @returns Whether it was one before.
 * @throws {UploadFailure} if it is for another store, is no cache, or can't be asked.
 */
export async function ensureCacheInfo(
  transport: Transport,
  storeDir: string,
  signal: AbortSignal,
): Promise<boolean> {
  if (await isCache(transport, storeDir, signal)) return true
  await put(transport, `StoreDir: ${storeDir}\n`, signal)
  return false
}

/**
 * Writes the file with its present content, or a new one.
 * @throws {UploadFailure} if the destination can't be written to.
 */
export async function writeCacheInfo(
  transport: Transport,
  storeDir: string,
  signal: AbortSignal,
): Promise<void> {
  const isThere = await isCache(transport, storeDir, signal)
  const text = isThere ? await transport.get(CACHE_INFO, signal) : undefined
  await put(transport, text ?? `StoreDir: ${storeDir}\n`, signal)
}

async function put(transport: Transport, text: string, signal: AbortSignal): Promise<void> {
  const body = Buffer.from(text)
  const contentType = contentTypeOf(CACHE_INFO)
  await transport.put({ name: CACHE_INFO, contentType, body }, signal, () => undefined)
}

/**
 * Looks whether a destination is a cache for this store.
 * @returns False if there is no cache yet.
 * @throws {UploadFailure} as `ensureCacheInfo`.
 */
export async function isCache(transport: Transport, storeDir: string, signal: AbortSignal): Promise<boolean> {
  const text = await transport.get(CACHE_INFO, signal)
  // Empty: left by a power cut.
  if (text === undefined || /^\0*$/.test(text)) return false
  const fields = text.split('\n').filter((line) => line.trim() !== '')
  if (!fields.every((line) => /^[A-Za-z]+:/.test(line))) {
    throw noCache(`to ${CACHE_INFO} it answers with "${text.trim().replaceAll(/\s+/g, ' ').slice(0, 60)}"`)
  }
  // Without a StoreDir, Nix assumes /nix/store; here any store is accepted then.
  const [, theirs = storeDir] = /^StoreDir: *(.*?)[ \r]*$/m.exec(text) ?? []
  if (theirs === storeDir) return true
  const message = `the destination is a cache for ${theirs}, as its nix-cache-info says, and the store here is ${storeDir}`
  throw new UploadFailure({ blame: 'destination', permanent: false, message })
}
