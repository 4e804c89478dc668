import { areWhole } from '../nix/local-store.ts'

/** For so long is whole what was found to be: as long as one batch may be behind another. */
const HOLDS_MS = 10_000

/**
 * Whether store paths have the content that they were registered with, asked once for several destinations: they get the
 * same jobs at about the same time, and to read all of them again takes longer than to send them.
 */
export class RecentlyWhole {
  readonly #asked = new Map<string, Promise<boolean>>()

  /**
   * @param paths Store paths.
   * @throws {NixFailure} where Nix was ended before it could tell.
   */
  async has(paths: readonly string[], signal: AbortSignal): Promise<boolean> {
    const key = [...paths].sort().join(' ')
    const asked = this.#asked.get(key)
    // Somebody else's question may have been ended with what it was asked for.
    if (asked && (await asked.catch(() => false))) return true
    const asking = areWhole(paths, signal)
    this.#asked.set(key, asking)
    const forget = () => {
      if (this.#asked.get(key) === asking) this.#asked.delete(key)
    }
    asking.then((isWhole) => (isWhole ? setTimeout(forget, HOLDS_MS).unref() : forget()), forget)
    return await asking
  }
}
