import type { StoreObject } from '../../nix/store-server.ts'
import { Presence } from './presence.ts'
import type { Transport } from './transport.ts'

/** Caches that users of a destination have anyway: what is there need not be uploaded. */
export class Upstream {
  readonly #keyNames: ReadonlySet<string>
  readonly #caches: readonly Presence[]

  /**
   * @param keyNames The names of keys, such as `cache.nixos.org-1`: what is signed with one of them came from there.
   * @param caches Those that are asked.
   * @param maxAgeMs For how long their answers hold.
   */
  constructor(keyNames: readonly string[], caches: readonly Transport[], maxAgeMs: number) {
    this.#keyNames = new Set(keyNames)
    this.#caches = caches.map((cache) => new Presence(cache, maxAgeMs))
  }

  /** Whether the path came from there, as the local store knows without asking anybody. */
  hasSigned({ signatures }: StoreObject): boolean {
    return signatures.some((signature) => this.#keyNames.has(signature.slice(0, signature.indexOf(':'))))
  }

  /**
   * @returns What none of the caches has.
   * @throws {SendFailure} where one can't be asked.
   */
  async lacking(objects: readonly StoreObject[], signal: AbortSignal): Promise<readonly StoreObject[]> {
    let left = objects
    for (const cache of this.#caches) {
      const found = await cache.ask(left, () => false, signal)
      for (const path of found.keys()) cache.note(path)
      left = left.filter(({ path }) => !cache.has(path))
    }
    return left
  }
}
