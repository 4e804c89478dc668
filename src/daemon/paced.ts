import { type Steps, unhurried } from '../util/steps.ts'

/** Computes a value that takes time: on request, not too often, and once for all who ask at the same time. */
export class Paced<T> {
  readonly #find: () => Steps<T>
  readonly #everyMs: number
  readonly #share: number
  #found: Promise<T> | undefined
  #next = 0

  /**
   * @param find Computes it.
   * @param everyMs It is computed no more often than this.
   * @param share If it takes long, it takes at most this part of the time: 20 stands for a twentieth.
   */
  constructor(find: () => Steps<T>, everyMs: number, share: number) {
    this.#find = find
    this.#everyMs = everyMs
    this.#share = share
  }

  /** The last value, if it is new enough. */
  get(): Promise<T> {
    if (!this.#found || performance.now() >= this.#next) {
      this.#next = Number.POSITIVE_INFINITY
      this.#found = this.#findNow()
    }
    return this.#found
  }

  /** Makes the next request compute the value anew. */
  outdate(): void {
    this.#next = 0
  }

  async #findNow(): Promise<T> {
    const began = performance.now()
    try {
      return await unhurried(this.#find())
    } finally {
      const now = performance.now()
      this.#next = now + Math.max(this.#everyMs, (now - began) * this.#share)
    }
  }
}
