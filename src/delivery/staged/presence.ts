import { type NarInfo, narinfoName, parseNarInfo } from '../../nix/narinfo.ts'
import type { StoreObject } from '../../nix/store-server.ts'
import type { Transport } from './transport.ts'

/** So many narinfos are remembered at most: some tens of megabytes. */
const KEPT = 200_000
/** So many requests are handed to the transport at once; it sends as many as the server takes. */
const AT_ONCE = 512

/** A path that a cache has, as it says. */
export interface Found {
  object: StoreObject
  info: NarInfo
  /** The narinfo itself. */
  text: string
}

/**
 * What a binary cache has: asked for each path once, and remembered for a while. What was remembered wrongly, because
 * the cache was wiped, is found out by that age; or at once where it lacks something that it is asked for anew.
 */
export class Presence {
  readonly #transport: Transport
  readonly #maxAgeMs: number
  /** When each path was last seen there, the oldest first. */
  readonly #seen = new Map<string, number>()

  constructor(transport: Transport, maxAgeMs: number) {
    this.#transport = transport
    this.#maxAgeMs = maxAgeMs
  }

  has(path: string): boolean {
    const at = this.#seen.get(path)
    return at !== undefined && performance.now() - at <= this.#maxAgeMs
  }

  /** The path is there: it was seen, or uploaded. */
  note(path: string): void {
    this.#seen.delete(path)
    this.#seen.set(path, performance.now())
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > KEPT && oldest !== undefined) this.#seen.delete(oldest)
  }

  /** Nothing that is remembered can be relied on. */
  forget(): void {
    this.#seen.clear()
  }

  /**
   * Asks for all that isn't known to be there.
   * @param isAnew Which are asked for even if they are known.
   * @returns What was asked for and is there, by path; none of it is remembered yet. What is neither in it nor known
   * is not there.
   * @throws {SendFailure} where the cache can't be asked.
   */
  async ask(
    objects: readonly StoreObject[],
    isAnew: (path: string) => boolean,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Found>> {
    const unknown = objects.filter(({ path }) => !this.has(path) || isAnew(path))
    const found = await this.#askFor(unknown, signal)
    if (!unknown.some(({ path }) => this.#seen.has(path) && !found.has(path))) return found
    // Something that was there is gone, so other things may be, too.
    this.forget()
    const asked = new Set(unknown)
    const rest = await this.#askFor(
      objects.filter((object) => !asked.has(object)),
      signal,
    )
    return new Map([...found, ...rest])
  }

  async #askFor(objects: readonly StoreObject[], signal: AbortSignal): Promise<Map<string, Found>> {
    const ended = new AbortController()
    const either = AbortSignal.any([signal, ended.signal])
    const found = new Map<string, Found>()
    const waiting = objects.values()
    const askInTurn = async () => {
      for (const object of waiting) {
        const text = await this.#transport.get(narinfoName(object.path), either)
        const info = text === undefined ? undefined : parseNarInfo(text)
        if (text !== undefined && info?.storePath === object.path)
          found.set(object.path, { object, info, text })
      }
    }
    try {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, objects.length) }, askInTurn))
    } finally {
      // Where one failed, the others are asked in vain.
      ended.abort()
    }
    return found
  }
}
