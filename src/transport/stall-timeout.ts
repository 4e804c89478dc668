import { formatDuration } from '../util/duration.ts'
import { onAbort } from '../util/on-abort.ts'
import type { Layer } from './attempt.ts'
import { TransportFailure } from './transport-failure.ts'

/** A place that takes fewer bytes than this within the time-out has stalled: a byte a second is no progress. */
const LEAST_BYTES = 64 * 1024

/**
 * Ends an attempt that has stalled: less than 64 KiB went out within the time-out, or no whole answer came after the last
 * bytes. Our own time, for reading from the disk or because of a rate limit, doesn't count.
 * @param ms The time-out.
 */
export function stallTimeout(ms: number): Layer {
  return (inner) => async (attempt, context) => {
    const { signal } = context
    signal.throwIfAborted()
    const clock = new StallClock(ms)
    const either = new AbortController()
    let stop = () => {}
    try {
      return await new Promise((resolve, reject) => {
        // Not every library stops at once.
        const end = (reason: unknown) => {
          either.abort(reason)
          reject(reason)
        }
        clock.start(() => end(stalled(ms)))
        // `AbortSignal.any` has the same effect and costs twice as much, for each of thousands of small requests.
        stop = onAbort(signal, () => end(signal.reason))
        inner(attempt, {
          ...context,
          signal: either.signal,
          ownWait: (waiting) => clock.pausedFor(context.ownWait(waiting)),
          beforeBytes: (count) => {
            clock.moved(count)
            const held = context.beforeBytes(count)
            return held && clock.pausedFor(held)
          },
        }).then(resolve, reject)
      })
    } catch (error) {
      either.signal.throwIfAborted()
      throw error
    } finally {
      clock.stop()
      stop()
    }
  }
}

/** Runs out, unless enough bytes move; it can be paused. */
class StallClock {
  readonly #ms: number
  #onStall = () => {}
  #timer: NodeJS.Timeout | undefined
  #startedAt = 0
  #leftMs: number
  #movedBytes = 0
  #pauses = 0
  #isStopped = false

  constructor(ms: number) {
    this.#ms = ms
    this.#leftMs = ms
  }

  start(onStall: () => void): void {
    this.#onStall = onStall
    this.#run()
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  moved(bytes: number): void {
    // Bytes that are taken back did move.
    this.#movedBytes += Math.max(0, bytes)
    if (this.#movedBytes < LEAST_BYTES) return
    this.#movedBytes = 0
    this.#leftMs = this.#ms
    if (this.#pauses === 0) this.#run()
  }

  async pausedFor<R>(waiting: Promise<R>): Promise<R> {
    if (this.#pauses++ === 0) {
      clearTimeout(this.#timer)
      this.#leftMs -= performance.now() - this.#startedAt
    }
    try {
      return await waiting
    } finally {
      if (--this.#pauses === 0) this.#run()
    }
  }

  #run(): void {
    clearTimeout(this.#timer)
    if (this.#isStopped) return
    this.#startedAt = performance.now()
    this.#timer = setTimeout(this.#onStall, Math.max(1, this.#leftMs))
  }
}

function stalled(ms: number): TransportFailure {
  const means =
    'the destination takes and sends nothing any more, or next to nothing, so the request was ended: check the network and the load there'
  return new TransportFailure({ means, retry: 'soon' }, `nothing moved for ${formatDuration(ms)}`)
}
