import { SETTLING_MS } from '../spool/claim.ts'

/** A file that is written to all the time is judged after this long. */
const PATIENCE_MS = 60_000
/** At most this many names are kept; if there are more, all of `new/` is looked at. */
const REMEMBERED = 1000

/** Files in `new/` that are no valid jobs but were written to just now: they are looked at again before they are judged. */
export class HalfWritten {
  /** When each was seen first. */
  readonly #since = new Map<string, number>()
  readonly #onDue: (areMore: boolean) => void
  #nextLook: NodeJS.Timeout | undefined

  /** @param onDue Called when it is time for another look: at all of `new/` if there are more files than are kept. */
  constructor(onDue: (areMore: boolean) => void) {
    this.#onDue = onDue
  }

  has(name: string): boolean {
    return this.#since.has(name)
  }

  get isEmpty(): boolean {
    return this.#nextLook === undefined && this.#since.size === 0
  }

  /** Those that it is time to look at again. */
  due(): string[] {
    return this.#nextLook ? [] : [...this.#since.keys()]
  }

  /** Leaves a file alone for a while. Returns false if it was left alone for long enough. */
  wait(name: string): boolean {
    const now = performance.now()
    const since = this.#since.get(name) ?? now
    if (now - since > PATIENCE_MS) return false
    if (this.#since.size < REMEMBERED) this.#since.set(name, since)
    this.#nextLook ??= setTimeout(() => {
      this.#nextLook = undefined
      this.#onDue(this.#since.size >= REMEMBERED)
    }, SETTLING_MS)
    return true
  }

  forget(name: string): void {
    this.#since.delete(name)
  }

  stop(): void {
    clearTimeout(this.#nextLook)
    this.#nextLook = undefined
  }
}
