import type { ClaimedJob } from '../spool/claim.ts'
import { Health } from './health.ts'
import type { Outcome } from './outcome.ts'

interface PaceContext {
  /** A batch has at most this many store paths. */
  batchSize: number
  retryMinMs: number
  retryMaxMs: number
  /** The destination failed (again); it is left alone for `waitMs`. */
  onDown(error: string, waitMs: number): void
  /** Something went through, for the first time or for the first time after the destination had been down. */
  onUp(before: 'down' | 'unknown'): void
  /** The wait is over. */
  onDue(): void
}

/**
 * How many jobs are sent to a destination together. After a failure it is left alone for a while, then tried with one job, each
 * time a different one; each success doubles the number.
 */
export class Pace {
  readonly health: Health
  readonly #context: PaceContext
  #size: number
  /** The jobs that were sent in vain since the destination went down. */
  #tried = new WeakSet<ClaimedJob>()
  #timer: NodeJS.Timeout | undefined

  constructor(context: PaceContext) {
    this.#context = context
    this.#size = context.batchSize
    this.health = new Health({ minMs: context.retryMinMs, maxMs: context.retryMaxMs })
  }

  /** The first of some jobs, as many as make up a batch; at least one of them. */
  batchOf(jobs: readonly ClaimedJob[]): ClaimedJob[] {
    let paths = 0
    const end = jobs.findIndex(({ job }, at) => {
      paths += Math.max(1, job.outPaths.length)
      return at > 0 && paths > this.#size
    })
    return end === -1 ? [...jobs] : jobs.slice(0, end)
  }

  /** One of some jobs that was not sent yet since the destination went down. */
  untriedOf(jobs: readonly ClaimedJob[]): ClaimedJob | undefined {
    return jobs.find((claimed) => !this.#tried.has(claimed))
  }

  /** Takes the result of a batch into account. */
  note(outcomes: ReadonlyMap<ClaimedJob, Outcome>): void {
    const failed = [...outcomes].flatMap(([claimed, outcome]) => {
      const error = destinationError(outcome)
      return error === undefined ? [] : [{ claimed, error }]
    })
    const isDelivered = [...outcomes.values()].some(({ kind }) => kind === 'delivered')
    if (failed[0]) this.noteDown(failed[0].error)
    else if (isDelivered) this.#noteUp()
    for (const { claimed } of failed) this.#tried.add(claimed)
  }

  /** Batches that ran side by side and failed count as one failure. */
  noteDown(error: string): void {
    this.#size = 1
    if (this.health.waitMs > 0) return
    const waitMs = this.health.failed(error)
    this.stop()
    this.#timer = setTimeout(() => this.#context.onDue(), waitMs + 1)
    this.#context.onDown(error, waitMs)
  }

  /** Calls `onDue` no more. */
  stop(): void {
    clearTimeout(this.#timer)
  }

  #noteUp(): void {
    const before = this.health.succeeded()
    this.#size = Math.min(this.#size * 2, this.#context.batchSize)
    if (before === 'ok') return
    this.#tried = new WeakSet()
    this.#context.onUp(before)
  }
}

function destinationError(outcome: Outcome): string | undefined {
  return outcome.kind === 'failed' && outcome.verdict.blame === 'destination'
    ? outcome.verdict.message
    : undefined
}
