import type { Destination } from '../config/config.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Job } from '../spool/job.ts'
import { waitAfter } from './backoff.ts'
import { deliver, type Outcome, type Send } from './batch.ts'
import { Health } from './health.ts'

/** What a lane tells the delivery it belongs to. */
export interface LaneEvents {
  onOutcome(lane: Lane, claimed: ClaimedJob, outcome: Outcome): void
  /** The destination failed (again); it is left alone for `waitMs`. */
  onDown(lane: Lane, error: string, waitMs: number): void
  /** A copy went through, the first one or the first one after the destination had been down. */
  onUp(lane: Lane, before: 'down' | 'unknown'): void
  /** A batch is through, or a wait is over: there may be something to start or to claim. */
  onChange(): void
}

/** What a finished batch was like, for the log. */
export interface BatchSummary {
  jobs: number
  paths: number
  runs: number
  ms: number
}

/** One destination and the claimed jobs that are on their way to it. */
export class Lane {
  readonly destination: Destination
  readonly health: Health
  readonly #send: Send
  readonly #events: LaneEvents
  readonly #waiting: ClaimedJob[] = []
  /** Jobs that failed by themselves and wait for their next attempt. */
  readonly #delayed = new Map<ClaimedJob, NodeJS.Timeout>()
  #running: ClaimedJob[] = []
  #wake: NodeJS.Timeout | undefined

  constructor(destination: Destination, send: Send, events: LaneEvents) {
    this.destination = destination
    this.health = new Health({ minMs: destination.retryMinMs, maxMs: destination.retryMaxMs })
    this.#send = send
    this.#events = events
  }

  /** True where the job still has to go to this destination. */
  isFor(job: Job): boolean {
    const state = job.destinations[this.destination.name]?.state
    return state === undefined || state === 'waiting'
  }

  /** How many more jobs it can do with: the next batch; one for a probe when the destination is down. */
  get room(): number {
    if (this.health.isDown) return this.#waiting.length === 0 && this.health.waitMs === 0 ? 1 : 0
    return this.destination.batchSize - this.#waiting.length
  }

  get isRunning(): boolean {
    return this.#running.length > 0
  }

  /** Queues a job, at the end: after a failure the next probe takes another one. */
  add(claimed: ClaimedJob): void {
    this.#waiting.push(claimed)
  }

  /** Puts a job aside that failed by itself, until its next attempt. */
  delay(claimed: ClaimedJob, attempts: number): void {
    const { retryMinMs, retryMaxMs } = this.destination
    const timer = setTimeout(
      () => {
        this.#delayed.delete(claimed)
        this.#waiting.push(claimed)
        this.#events.onChange()
      },
      waitAfter(attempts, { minMs: retryMinMs, maxMs: retryMaxMs }),
    )
    this.#delayed.set(claimed, timer)
  }

  /** Starts the next batch if there is one and the destination may be tried. */
  start(signal: AbortSignal, onEnd: (summary: BatchSummary) => void): void {
    if (this.isRunning || this.#waiting.length === 0 || this.health.waitMs > 0 || signal.aborted) return
    const jobs = this.health.isDown ? this.#waiting.splice(0, 1) : this.#nextBatch()
    this.#running = jobs
    void this.#deliver(jobs, signal)
      .then(onEnd)
      .finally(() => this.#events.onChange())
  }

  /** Forgets all jobs that are not in a running copy, because they go back to `new/`. */
  clear(): void {
    clearTimeout(this.#wake)
    for (const timer of this.#delayed.values()) clearTimeout(timer)
    this.#delayed.clear()
    this.#waiting.length = 0
  }

  isBusyWith(claimed: ClaimedJob): boolean {
    return this.#running.includes(claimed)
  }

  #nextBatch(): ClaimedJob[] {
    let paths = 0
    let jobs = 0
    for (const { job } of this.#waiting) {
      paths += Math.max(1, job.outPaths.length)
      if (jobs > 0 && paths > this.destination.batchSize) break
      jobs++
    }
    return this.#waiting.splice(0, jobs)
  }

  async #deliver(jobs: ClaimedJob[], signal: AbortSignal): Promise<BatchSummary> {
    const startedAt = performance.now()
    const { outcomes, runs } = await deliver(jobs, this.#send, signal)
    this.#running = []
    this.#noteHealth([...outcomes.values()])
    for (const [claimed, outcome] of outcomes) this.#events.onOutcome(this, claimed, outcome)
    const paths = jobs.reduce((sum, { job }) => sum + job.outPaths.length, 0)
    return { jobs: jobs.length, paths, runs, ms: Math.round(performance.now() - startedAt) }
  }

  #noteHealth(outcomes: readonly Outcome[]): void {
    const error = outcomes.map(destinationError).find((message) => message !== undefined)
    if (error !== undefined) this.#noteDown(error)
    else if (outcomes.some(({ kind }) => kind === 'delivered')) this.#noteUp()
  }

  #noteUp(): void {
    const before = this.health.succeeded()
    if (before !== 'ok') this.#events.onUp(this, before)
  }

  #noteDown(error: string): void {
    const waitMs = this.health.failed(error)
    clearTimeout(this.#wake)
    this.#wake = setTimeout(() => this.#events.onChange(), waitMs + 1)
    this.#events.onDown(this, error, waitMs)
  }
}

function destinationError(outcome: Outcome): string | undefined {
  return outcome.kind === 'failed' && outcome.verdict.blame === 'destination'
    ? outcome.verdict.message
    : undefined
}
