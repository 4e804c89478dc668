import type { StoreObject } from '../nix/store-server.ts'
import type { Transport } from '../transport/transport.ts'
import { UploadFailure } from '../util/verdict.ts'
import { KnownPaths } from './known-paths.ts'

interface Cache {
  url: string
  known: KnownPaths
}

/** Caches that users of a destination have anyway: paths that are there need not be uploaded. */
export class Upstream {
  readonly #keyNames: ReadonlySet<string>
  readonly #caches: readonly Cache[]
  readonly #onWarning: (message: string) => void
  /** Those that did not answer the last time. */
  readonly #silent = new Set<Cache>()

  /**
   * @param keyNames The names of keys, such as `cache.nixos.org-1`: a path signed with one of them came from there.
   * @param caches Those that are asked, by their URLs.
   * @param maxAgeMs For how long their answers hold.
   * @param onWarning Called when a cache doesn't answer, once until it answers again.
   */
  constructor(
    keyNames: readonly string[],
    caches: ReadonlyMap<string, Transport>,
    maxAgeMs: number,
    onWarning: (message: string) => void,
  ) {
    this.#keyNames = new Set(keyNames)
    this.#caches = [...caches].map(([url, transport]) => ({
      url,
      known: new KnownPaths(transport, maxAgeMs),
    }))
    this.#onWarning = onWarning
  }

  /** Whether the path came from there, as the local store knows without asking anybody. */
  hasSigned({ signatures }: StoreObject): boolean {
    return signatures.some((signature) => this.#keyNames.has(signature.slice(0, signature.indexOf(':'))))
  }

  /** @returns The paths that no cache has; a cache that can't be asked counts as empty. */
  async lacking(objects: readonly StoreObject[], signal: AbortSignal): Promise<readonly StoreObject[]> {
    let left = objects
    for (const cache of this.#caches) {
      if (left.length === 0) break
      try {
        const found = await cache.known.ask(left, () => false, signal)
        for (const path of found.keys()) cache.known.note(path)
        this.#silent.delete(cache)
      } catch (error) {
        signal.throwIfAborted()
        if (!(error instanceof UploadFailure)) throw error
        this.#warn(cache, error)
      }
      left = left.filter(({ path }) => !cache.known.has(path))
    }
    return left
  }

  #warn(cache: Cache, { message }: Error): void {
    if (this.#silent.has(cache)) return
    this.#silent.add(cache)
    this.#onWarning(
      `${cache.url}, named by skip-upstream, can't be asked for its paths, so these are uploaded too: ${message}`,
    )
  }
}
