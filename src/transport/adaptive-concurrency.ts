import { setTimeout as sleep } from 'node:timers/promises'
import type { NetworkSettings } from '../config/network-settings.ts'
import { waitAfter } from '../util/backoff.ts'
import { FifoQueue } from '../util/fifo-queue.ts'
import { mostFileHandles } from '../util/file-handles.ts'
import type { Layer } from './attempt.ts'
import { TransportFailure } from './transport-failure.ts'

export interface ConcurrencyOptions {
  /** How many requests are in flight at first. */
  start: number
  most: number
  /** How often a request is made at most, if fewer requests at a time would not help. */
  attempts: number
  /** How long to wait before the second attempt; it doubles, up to `maxWaitMs`. */
  minWaitMs: number
  maxWaitMs: number
  /** A destination that has taken nothing for this long is given up for now. */
  patienceMs: number
}

/** Each request has a connection. The other handles are for store paths, threads, programs and other destinations. */
const HANDLES_EACH = 4
const FROM_HANDLES = Math.floor((mostFileHandles() ?? Number.POSITIVE_INFINITY) / HANDLES_EACH)
/** How many requests to one destination are in flight at most, and how many connections it has. */
export const MOST_AT_ONCE = Math.max(1, Math.min(256, FROM_HANDLES))

const DEFAULTS: ConcurrencyOptions = {
  start: 32,
  most: MOST_AT_ONCE,
  attempts: 5,
  minWaitMs: 500,
  maxWaitMs: 8_000,
  patienceMs: 30_000,
}

/** Requests that lost their connections at the same time are not repeated at the same time. */
const AT_ONCE_MS = 20

/** A request is made no more often than this, even if others succeed. */
const MOST_ATTEMPTS = 40

/**
 * How many requests to one destination are in flight, and which are made again. Their number grows with each that goes
 * through, and is halved when the server asks for fewer; from then on it grows slowly, as TCP does it.
 */
export class AdaptiveConcurrency {
  readonly #options: ConcurrencyOptions
  /** It may become less. */
  #most: number
  #window: number
  #isProbing = true
  #inFlight = 0
  readonly #waiting = new FifoQueue<undefined>()
  /** No request begins before this time: the server wants to be left alone. All times are those of `performance.now()`. */
  #notBefore = 0
  #timer: NodeJS.Timeout | undefined
  #lastSuccess = 0
  #lastCut = 0

  constructor(options: Partial<ConcurrencyOptions> = {}) {
    this.#options = { ...DEFAULTS, ...options }
    this.#most = this.#options.most
    this.#window = Math.min(this.#options.start, this.#most)
  }

  /** From now on there are no more than `most` in flight. */
  limitTo(most: number): void {
    this.#most = Math.min(this.#most, most)
    this.#window = Math.min(this.#window, this.#most)
  }

  /** How many requests may be in flight now. */
  get window(): number {
    return Math.floor(this.#window)
  }

  /**
   * Makes a request as soon as there is room for it, and repeats it if that may help.
   * @param request Called once for each attempt.
   * @throws What the last attempt threw; the signal's reason where that was aborted.
   */
  async run<T>(request: () => Promise<T>, signal: AbortSignal): Promise<T> {
    let failedAt: number | undefined
    for (let failures = 1; ; failures++) {
      try {
        return await this.#once(request, failures, signal)
      } catch (error) {
        signal.throwIfAborted()
        // Time spent earlier, waiting or under way, doesn't count against another attempt.
        failedAt ??= performance.now()
        const waitMs = this.#waitAfter(error, failures, failedAt)
        if (waitMs === undefined) throw error
        await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted())
      }
    }
  }

  async #once<T>(request: () => Promise<T>, attempt: number, signal: AbortSignal): Promise<T> {
    await this.#turn(signal)
    const began = performance.now()
    try {
      const result = await request()
      this.#grow()
      return result
    } catch (error) {
      if (error instanceof TransportFailure && isForWantOfRoom(error, attempt)) {
        this.#shrink(began, error.retryAfterMs)
      }
      throw error
    } finally {
      this.#inFlight--
      this.#letIn()
    }
  }

  /** Waits until a request may begin, and counts it. */
  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const isRoom = this.#inFlight < this.window && this.#notBefore <= performance.now()
    if (isRoom && this.#waiting.isEmpty) this.#inFlight++
    else await this.#waiting.join(undefined, signal, () => this.#letIn()).finally(() => this.#endTimer())
  }

  #letIn(): void {
    const restMs = this.#notBefore - performance.now()
    if (restMs > 0) {
      if (this.#waiting.isEmpty) return
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined
        this.#letIn()
      }, restMs)
      return
    }
    while (this.#inFlight < this.window) {
      const next = this.#waiting.shift()
      if (!next) return
      this.#inFlight++
      next.go()
    }
  }

  /** A timer that nobody waits for would keep the process running. */
  #endTimer(): void {
    if (!this.#waiting.isEmpty) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #grow(): void {
    this.#lastSuccess = performance.now()
    if (this.#inFlight < this.window) return
    this.#window = Math.min(this.#most, this.#window + (this.#isProbing ? 1 : 1 / this.#window))
  }

  /** @param began The start of the request that the server refused. */
  #shrink(began: number, retryAfterMs = 0): void {
    const now = performance.now()
    this.#notBefore = Math.max(this.#notBefore, now + Math.min(retryAfterMs, this.#options.patienceMs))
    // Requests that were in flight at the last cut tell nothing new.
    if (began < this.#lastCut) return
    this.#lastCut = now
    this.#isProbing = false
    this.#window = Math.max(1, this.#window / 2)
  }

  /**
   * How long to wait before a request is made again; undefined if it is not.
   * @param failedAt When it failed for the first time.
   */
  #waitAfter(error: unknown, failures: number, failedAt: number): number | undefined {
    if (!(error instanceof TransportFailure) || error.retry === 'never') return undefined
    const { attempts, minWaitMs, maxWaitMs, patienceMs } = this.#options
    if (error.retry === 'at once' && failures === 1) return Math.random() * AT_ONCE_MS
    const isSlower = error.retry === 'slower'
    if (failures >= (isSlower ? MOST_ATTEMPTS : attempts)) return undefined
    const since = isSlower ? Math.max(failedAt, this.#lastSuccess) : failedAt
    const waitMs = Math.max(
      waitAfter(failures, { minMs: minWaitMs, maxMs: maxWaitMs }),
      error.retryAfterMs ?? 0,
    )
    return performance.now() - since + waitMs > patienceMs ? undefined : waitMs
  }
}

/** Whether fewer requests at a time would mend a failure. */
function isForWantOfRoom({ retry }: TransportFailure, attempt: number): boolean {
  return retry === 'slower' || (retry === 'at once' && attempt > 1)
}

/** Lets attempts wait for their turn, and repeats failed ones if that may help. */
export function retried(concurrency: AdaptiveConcurrency, settings?: () => Promise<NetworkSettings>): Layer {
  return (inner) => async (attempt, context) => {
    const { connections } = (await settings?.()) ?? {}
    if (connections !== undefined) concurrency.limitTo(connections)
    return await concurrency.run(() => inner(attempt, context), context.signal)
  }
}
