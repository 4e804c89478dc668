import type { ClaimedJob } from '../spool/claim.ts'
import type { DestinationReport, Rate } from '../spool/report.ts'
import { waitAfter } from '../util/backoff.ts'
import { BatchRuns } from './batch-runs.ts'
import type { Health } from './health.ts'
import { InFlight } from './in-flight.ts'
import { JobStates } from './job-states.ts'
import { MODES, type Mode, modeOf } from './mode.ts'
import { Pace } from './pace.ts'
import { ParallelChoice } from './parallel-choice.ts'
import type { WorkerContext } from './worker-context.ts'

/** While more jobs come, fewer than this are not sent yet. */
const MANY = 100

/**
 * Sends jobs to one destination: in batches, as many side by side as the destination permits, and one job at a time
 * while it is down. `mode.ts` says what it does when.
 */
export class Worker {
  readonly #context: WorkerContext
  readonly #jobs = new JobStates()
  readonly #inFlight = new InFlight()
  readonly #pace: Pace
  readonly #choice: ParallelChoice
  readonly #runs: BatchRuns
  /** Somebody paused the destination. */
  isPaused = false
  #isStopping = false
  /** The batch of one job that was sent last to see whether the destination is back. */
  #lastProbe: readonly ClaimedJob[] = []

  constructor(context: WorkerContext) {
    const { limits, events } = context
    this.#context = context
    this.#choice = new ParallelChoice(context.related, this.#jobs, this.#inFlight)
    this.#pace = new Pace({
      ...limits,
      onDown: (error, waitMs) => events.onDown(error, waitMs),
      onUp: (before) => events.onUp(before),
      onDue: () => events.onChange(),
    })
    this.#runs = new BatchRuns(context, { jobs: this.#jobs, inFlight: this.#inFlight, pace: this.#pace })
  }

  /** How the destination is. */
  get health(): Health {
    return this.#pace.health
  }

  get mode(): Mode {
    return modeOf({
      isStopping: this.#isStopping,
      isPaused: this.isPaused,
      isDown: this.health.isDown,
      waitMs: this.health.waitMs,
      isProbing: this.#inFlight.has(this.#lastProbe),
      isChoosing: this.#choice.isChoosing,
      isHeldUp: this.#choice.isHeldUp,
      batches: this.#inFlight.size,
      concurrency: this.#context.limits.concurrency,
    })
  }

  /** How many more jobs it takes now. */
  get room(): number {
    const { takes } = MODES[this.mode]
    const free = this.#context.capacity - this.#jobs.size
    if (takes === 'nothing' || free <= 0) return 0
    if (takes === 'a probe') return this.#pace.untriedOf(this.#jobs.in('queued')) ? 0 : 1
    return Math.max(0, Math.min(free, this.#context.limits.batchSize - this.#jobs.count('queued')))
  }

  /** Half of its places are taken by jobs that wait after a failure of their own: the other half is for other jobs. */
  get isLaden(): boolean {
    return this.#jobs.count('delayed') >= Math.floor(this.#context.capacity / 2)
  }

  /** Nothing was sent since the start. */
  get isUntried(): boolean {
    return this.#inFlight.begun === 0
  }

  get isRunning(): boolean {
    return this.#inFlight.size > 0 || this.#jobs.count('settling') > 0
  }

  /** True while enough is queued for a batch that is worth it. */
  get hasMany(): boolean {
    return this.#jobs.count('queued') >= Math.min(MANY, this.#context.limits.batchSize)
  }

  /** True while a whole batch is queued. */
  get isFull(): boolean {
    return this.#jobs.count('queued') >= this.#context.limits.batchSize
  }

  /** How many bytes and jobs went out since the start. */
  get sent(): Rate {
    return this.#inFlight.sent
  }

  /** How the destination is, and what is on its way to it. */
  report(): Omit<DestinationReport, 'to'> {
    return { ...this.health.report(), ...this.#inFlight.report() }
  }

  has(claimed: ClaimedJob): boolean {
    return this.#jobs.stateOf(claimed) !== undefined
  }

  /** Queues a job, at the end. */
  add(claimed: ClaimedJob): void {
    this.#jobs.set(claimed, 'queued')
  }

  /** Puts aside a job that failed by its own fault, until its next attempt; the wait grows each time. */
  delay(claimed: ClaimedJob): void {
    const { retryMinMs: minMs, retryMaxMs: maxMs } = this.#context.limits
    const wait = (delays: number) => waitAfter(delays, { minMs, maxMs })
    this.#jobs.delay(claimed, wait, () => this.#context.events.onChange())
  }

  remove(claimed: ClaimedJob): void {
    this.#jobs.remove(claimed)
  }

  /** Forgets all jobs but those of batches in flight, because they go back to `new/`. */
  clear(): void {
    for (const state of ['queued', 'delayed'] as const)
      for (const claimed of this.#jobs.in(state)) this.#jobs.remove(claimed)
  }

  /** Starts what its mode lets it start. */
  start(): void {
    if (this.#jobs.count('queued') === 0) return
    const { starts } = MODES[this.mode]
    if (starts === 'a probe') this.#probe()
    if (starts === 'a batch') this.#runs.start(this.#pace.batchOf(this.#jobs.in('queued')))
    if (starts === 'a batch beside others') void this.#startBeside()
  }

  /** Takes nothing more and starts nothing more. */
  stop(): void {
    this.#isStopping = true
    this.#pace.stop()
  }

  /** Ends what is in flight, too. */
  abort(): void {
    this.stop()
    this.#runs.abort()
  }

  #probe(): void {
    const queued = this.#jobs.in('queued')
    const probe = this.#pace.untriedOf(queued) ?? queued[0]
    this.#lastProbe = probe ? [probe] : []
    if (probe) this.#runs.start(this.#lastProbe)
  }

  async #startBeside(): Promise<void> {
    const free = await this.#choice.choose(this.#runs.signal)
    if (free.length > 0 && this.mode === 'sending') this.#runs.start(this.#pace.batchOf(free))
    else if (!this.#choice.isHeldUp) this.#context.events.onChange()
  }
}
