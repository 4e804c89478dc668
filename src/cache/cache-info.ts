import { fileOf, schemeOf } from '../config/store-url.ts'
import { storeDirectory } from '../nix/local-store.ts'
import type { Transport } from '../transport/transport.ts'
import { UploadFailure } from '../util/verdict.ts'
import { contentTypeOf } from './content-type.ts'
import { noCache, quoted } from './odd-answer.ts'

/** The file that marks a binary cache, and says for which store it is. */
export const CACHE_INFO = 'nix-cache-info'

/** The `nix-cache-info` of one destination. Each function throws an `UploadFailure` if the destination is to blame. */
export class CacheInfo {
  readonly #to: string
  readonly #transport: Transport
  /** Asking Nix takes longer than the request. */
  #storeDir: Promise<string> | undefined

  constructor(to: string, transport: Transport) {
    this.#to = to
    this.#transport = transport
  }

  /**
   * Makes sure that the destination is a cache, and for this store.
   * @param wasThere It was one earlier. If a directory is none now, it is not mounted: a new cache on its mount point would be of
   * no use.
   * @returns Whether it was one before this call.
   */
  async ensure(wasThere: boolean, signal: AbortSignal): Promise<boolean> {
    if (await this.isThere(signal)) return true
    if (wasThere && schemeOf(this.#to) === 'file')
      throw notMounted(fileOf(this.#to), await this.#ownStoreDir())
    await this.#put(undefined, signal)
    return false
  }

  /** Writes the file with its present content, or a new one. */
  async rewrite(signal: AbortSignal): Promise<void> {
    const isThere = await this.isThere(signal)
    await this.#put(isThere ? await this.#transport.get(CACHE_INFO, signal) : undefined, signal)
  }

  /** Looks whether the destination is a cache for this store; false if there is no cache yet. */
  async isThere(signal: AbortSignal): Promise<boolean> {
    const text = await this.#transport.get(CACHE_INFO, signal)
    // Empty: left by a power cut.
    if (text === undefined || /^\0*$/.test(text)) return false
    const fields = text.split('\n').filter((line) => line.trim() !== '')
    // Nix skips lines that it doesn't know, such as comments.
    const isInfo = /^StoreDir:/m.test(text) || fields.every((line) => /^[A-Za-z]+:/.test(line))
    if (!isInfo) throw noCache(CACHE_INFO, quoted(text))
    const ours = await this.#ownStoreDir()
    // Without a StoreDir, Nix assumes /nix/store; here any store is accepted then.
    const [, theirs = ours] = /^StoreDir: *(.*?)[ \r]*$/m.exec(text) ?? []
    if (theirs === ours) return true
    const message = `the destination is a cache for ${theirs}, as its nix-cache-info says, and the local store is ${ours}`
    throw new UploadFailure({ blame: 'destination', permanent: false, message })
  }

  async #put(text: string | undefined, signal: AbortSignal): Promise<void> {
    const body = Buffer.from(text ?? `StoreDir: ${await this.#ownStoreDir()}\n`)
    const contentType = contentTypeOf(CACHE_INFO)
    try {
      await this.#transport.put({ name: CACHE_INFO, contentType, body }, signal, () => undefined)
    } catch (error) {
      // No job's: a server that takes no body of this size takes none at all.
      if (!(error instanceof UploadFailure) || error.verdict.blame !== 'job') throw error
      throw new UploadFailure({ ...error.verdict, blame: 'destination', permanent: false })
    }
  }

  #ownStoreDir(): Promise<string> {
    this.#storeDir ??= storeDirectory()
    return this.#storeDir
  }
}

function notMounted(directory: string, storeDir: string): UploadFailure {
  const message =
    `there was a binary cache in ${directory}, and now there is none: is something not mounted? If it was removed on purpose, ` +
    `begin a new one: mkdir -p ${directory} && echo 'StoreDir: ${storeDir}' > ${directory}/nix-cache-info`
  return new UploadFailure({ blame: 'destination', permanent: false, message })
}
