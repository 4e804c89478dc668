import type { Config } from '../config/config.ts'
import { RateLimit } from './rate-limit.ts'

/** The rate limits, which can be changed at any time. */
export class Rates {
  readonly #all = new RateLimit()
  readonly #each = new Map<string, RateLimit>()

  /** The limits that hold for a destination: its own, and that of all together. */
  for(destination: string): readonly RateLimit[] {
    const own = this.#each.get(destination) ?? new RateLimit()
    this.#each.set(destination, own)
    return [own, this.#all]
  }

  /** Applies the limits of a configuration at once, also to requests under way. */
  set({ maxRate, destinations }: Pick<Config, 'maxRate' | 'destinations'>): void {
    this.#all.set(maxRate)
    for (const [name, limit] of this.#each) {
      limit.set(destinations.find((destination) => destination.name === name)?.maxRate)
    }
  }
}
