import { FifoQueue } from '../util/fifo-queue.ts'
import type { Layer } from './attempt.ts'

/** The part of a second's allowance that may be caught up at once, if timers were late. */
const SLACK_SECONDS = 0.05
const PIECE_SECONDS = 0.01
const LEAST_PIECE = 256
/** The approximate size of a request without its body: lines and headers. */
const REQUEST_BYTES = 400

/** A limit on the bytes per second, shared by all its users, who take a piece each in turn. */
export class RateLimit {
  #bytesPerSecond: number | undefined
  /** How many bytes may go out now; below zero after a larger piece. */
  #credit = 0
  #updated = performance.now()
  readonly #waiting = new FifoQueue<number>()
  #timer: NodeJS.Timeout | undefined

  /** @param bytesPerSecond None: no limit. */
  constructor(bytesPerSecond?: number) {
    this.#bytesPerSecond = bytesPerSecond
  }

  get isOff(): boolean {
    return this.#bytesPerSecond === undefined
  }

  /** Changes the limit, at once and for all that are under way; undefined takes it away. */
  set(bytesPerSecond: number | undefined): void {
    this.#refill()
    this.#bytesPerSecond = bytesPerSecond
    this.#letGo()
  }

  /** How many bytes to take at a time, so that the flow is steady and everyone gets a turn. */
  get pieceSize(): number {
    if (this.#bytesPerSecond === undefined) return Number.POSITIVE_INFINITY
    return Math.max(LEAST_PIECE, Math.floor(this.#bytesPerSecond * PIECE_SECONDS))
  }

  /** Waits until this many bytes may go out. Rejects with the signal's reason. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === undefined) return
    await this.#waiting.join(bytes, signal, () => this.#letGo())
  }

  #letGo(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#refill()
    const rate = this.#bytesPerSecond
    while (rate === undefined || this.#credit >= 0) {
      const next = this.#waiting.shift()
      if (!next) return
      if (rate !== undefined) this.#credit -= next.what
      next.go()
    }
    if (this.#waiting.isEmpty) return
    this.#timer = setTimeout(() => this.#letGo(), Math.ceil((-this.#credit / rate) * 1000))
  }

  #refill(): void {
    const now = performance.now()
    const rate = this.#bytesPerSecond ?? 0
    const earned = ((now - this.#updated) / 1000) * rate
    this.#credit = Math.min(this.#credit + earned, rate * SLACK_SECONDS)
    this.#updated = now
  }
}

/** Holds bytes back until all limits permit them. */
export function rateLimited(limits: readonly RateLimit[]): Layer {
  return (inner) => async (attempt, context) => {
    const { signal } = context
    const take = async (bytes: number) => {
      for (const limit of limits) await limit.take(bytes, signal)
    }
    const isOff = () => limits.every((limit) => limit.isOff)
    if (!isOff()) await take(REQUEST_BYTES)
    return await inner(attempt, {
      ...context,
      pieceBytes: () => Math.min(context.pieceBytes(), ...limits.map((limit) => limit.pieceSize)),
      beforeBytes: (count) => {
        const held = context.beforeBytes(count)
        return isOff() || count < 0 ? held : Promise.resolve(held).then(() => take(count))
      },
    })
  }
}
