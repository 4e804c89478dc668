import type { DestinationReport } from '../spool/report.ts'
import { type Backoff, waitAfter } from '../util/backoff.ts'

/** The state of one destination: the results of its recent copies, and when it may be tried again. */
export class Health {
  readonly #backoff: Backoff
  readonly #now: () => number
  #state: 'ok' | 'down' | 'unknown' = 'unknown'
  #failures = 0
  #lastError: string | undefined
  #lastSuccessAt: string | undefined
  /** On the monotonic clock, which nobody sets back. */
  #nextAttempt = 0

  /** @param now Monotonic milliseconds. */
  constructor(backoff: Backoff, now: () => number = () => performance.now()) {
    this.#backoff = backoff
    this.#now = now
  }

  get isDown(): boolean {
    return this.#state === 'down'
  }

  /** Whether a copy ever went through, in the time of an earlier daemon too. */
  get hasSucceeded(): boolean {
    return this.#lastSuccessAt !== undefined
  }

  /** How long until the destination may be tried; 0 when it may now. */
  get waitMs(): number {
    return Math.max(0, this.#nextAttempt - this.#now())
  }

  /** A copy went through. Returns what the destination was before. */
  succeeded(): 'ok' | 'down' | 'unknown' {
    const before = this.#state
    this.#state = 'ok'
    this.#failures = 0
    this.#lastError = undefined
    this.#lastSuccessAt = new Date().toISOString()
    this.#nextAttempt = 0
    return before
  }

  /** A copy failed because of the destination. Returns how long to wait. */
  failed(error: string): number {
    this.#state = 'down'
    this.#failures++
    this.#lastError = error
    const wait = waitAfter(this.#failures, this.#backoff)
    this.#nextAttempt = this.#now() + wait
    return wait
  }

  /** Something went through already, in the time of an earlier daemon. */
  remember(lastSuccessAt: string | undefined): void {
    this.#lastSuccessAt ??= lastSuccessAt
  }

  report(): Omit<DestinationReport, 'to'> {
    return {
      state: this.#state,
      failures: this.#failures,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...(this.#lastSuccessAt === undefined ? {} : { lastSuccessAt: this.#lastSuccessAt }),
      ...(this.isDown ? { nextAttemptAt: new Date(Date.now() + this.waitMs).toISOString() } : {}),
    }
  }
}
