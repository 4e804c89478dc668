import { performance } from 'node:perf_hooks'
import { FifoQueue } from './fifo-queue.ts'

/** How many are let in at first, and always. */
const LEAST = 32
const MOST = 512
/** How often the limit is looked at, while somebody waits. */
const LOOK_MS = 10
/** The part of its time for which a busy event loop works. */
const BUSY = 0.85
/** Each time that the event loop was busy for this long, half as many are let in. A burst of answers is shorter. */
const BUSY_MS = 50

/**
 * Lets in as many as keep the event loop busy, in the order they came: hundreds if they wait for a network, few if our own work
 * for them takes all the time. More would only cost memory, and time to collect it.
 */
export class BusyLimit {
  #room = LEAST
  #taken = 0
  /** How many have left, and how many had at the last look. */
  #left = 0
  #leftBefore = 0
  readonly #waiting = new FifoQueue<undefined>()
  #timer: NodeJS.Timeout | undefined
  #lastLook = performance.eventLoopUtilization()
  #busyMs = 0

  /**
   * Waits for a place.
   * @returns Gives the place back.
   * @throws The signal's reason, once that is aborted.
   */
  async take(signal: AbortSignal): Promise<() => void> {
    if (this.#taken < this.#room && this.#waiting.isEmpty) {
      signal.throwIfAborted()
      this.#taken++
    } else await this.#waiting.join(undefined, signal, () => this.#startLooking())
    return () => {
      this.#taken--
      this.#left++
      this.#letIn()
    }
  }

  #letIn(): void {
    while (this.#taken < this.#room) {
      const next = this.#waiting.shift()
      if (!next) return
      this.#taken++
      next.go()
    }
  }

  #startLooking(): void {
    if (this.#timer) return
    this.#lastLook = performance.eventLoopUtilization()
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  #look(): void {
    if (this.#waiting.isEmpty) {
      clearInterval(this.#timer)
      this.#timer = undefined
      return
    }
    const now = performance.eventLoopUtilization()
    const { active, utilization } = performance.eventLoopUtilization(now, this.#lastLook)
    this.#lastLook = now
    // If most leave within one or two looks, nothing slow is waited for.
    const isSlow = (this.#left - this.#leftBefore) * 2 < this.#taken
    this.#leftBefore = this.#left
    const isBusy = utilization > BUSY
    this.#busyMs = isBusy ? this.#busyMs + active : 0
    for (; this.#busyMs > BUSY_MS; this.#busyMs -= BUSY_MS) this.#room = Math.max(LEAST, this.#room / 2)
    if (!isBusy && isSlow) this.#room = Math.min(MOST, this.#room * 2)
    this.#letIn()
  }
}

/**
 * Does something for each of many, as many at once as `BusyLimit` lets in.
 * @throws What one of them threw; the others are ended then.
 */
export async function forEachAtOnce<T>(
  items: readonly T[],
  signal: AbortSignal,
  act: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const ended = new AbortController()
  const either = AbortSignal.any([signal, ended.signal])
  const places = new BusyLimit()
  const open = new Set<Promise<void>>()
  try {
    for (const item of items) {
      const leave = await places.take(either).catch(() => undefined)
      if (!leave) break
      const one = act(item, either)
        .catch((error: unknown) => ended.abort(error))
        .finally(() => {
          open.delete(one)
          leave()
        })
      open.add(one)
    }
    await Promise.all(open)
    either.throwIfAborted()
  } finally {
    // Node keeps listeners of two combined signals until one of them is aborted.
    ended.abort()
  }
}
