import type { StoreSession } from '../nix/store-session.ts'
import { areWhole } from '../nix/whole.ts'

/** For so long is whole what was found to be: as long as one batch may be behind another. */
const HOLDS_MS = 10_000

interface Asked {
  answer: Promise<boolean>
  /** The destinations that know it. */
  by: Set<string>
}

/**
 * Whether store paths have the content that they were registered with, asked once for several destinations: they get the
 * same jobs at about the same time, and to read all of them again takes longer than to send them.
 */
export class RecentlyWhole {
  readonly #store: StoreSession
  readonly #asked = new Map<string, Asked>()

  constructor(store: StoreSession) {
    this.#store = store
  }

  /**
   * @param destination Its name. One that asks again does so for another upload, and what was true for the last may not be.
   * @param paths Store paths.
   * @throws {NixFailure} where Nix was ended before it could tell.
   */
  async has(destination: string, paths: readonly string[], signal: AbortSignal): Promise<boolean> {
    const key = [...paths].sort().join(' ')
    const asked = this.#asked.get(key)
    const isNew = asked !== undefined && !asked.by.has(destination)
    asked?.by.add(destination)
    // Somebody else's question may have been ended with what it was asked for.
    if (isNew && (await asked.answer.catch(() => false))) return true
    const answer = areWhole(this.#store, paths, signal)
    const asking = { answer, by: new Set([destination]) }
    this.#asked.set(key, asking)
    const forget = () => {
      if (this.#asked.get(key) === asking) this.#asked.delete(key)
    }
    answer.then((isWhole) => (isWhole ? setTimeout(forget, HOLDS_MS).unref() : forget()), forget)
    return await answer
  }
}
