import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Destination } from '../config/config.ts'
import { withoutPassword } from '../config/store-url.ts'
import { relatedTo } from '../nix/related.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import { isPendingAt, type Job, type Place } from '../spool/job.ts'
import type { DestinationReport, Rate } from '../spool/report.ts'
import { waitAfter } from '../util/backoff.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { deliver } from './batch.ts'
import { Health } from './health.ts'
import type { Outcome } from './outcome.ts'
import type { Target } from './prepare.ts'
import { pathsIn, Underway } from './underway.ts'

/** So many outcomes take some milliseconds to write; then the event loop gets its turn. */
const SETTLED_PER_TURN = 25
/** Fewer are no batch while more come. */
const MANY = 100

/** A destination as jobs' records know it. */
export function placeOf({ name, to }: Destination): Place {
  return { name, to: withoutPassword(to) }
}

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
  readonly #target: Target
  readonly #events: LaneEvents
  #waiting: ClaimedJob[] = []
  /** Jobs that failed by themselves and wait for their next attempt. */
  readonly #delayed = new Map<ClaimedJob, NodeJS.Timeout>()
  /** How often each of them was put aside: they wait longer and longer. */
  readonly #delays = new WeakMap<ClaimedJob, number>()
  readonly #underway = new Underway()
  /** Jobs that a batch is through with, and whose outcome is still to be written. */
  readonly #settling = new Set<ClaimedJob>()
  /** At most so many jobs are this lane's at once. */
  readonly #capacity: number
  /** What went out since the destination went down, in vain: the next probe takes something else, if there is. */
  #probed = new WeakSet<ClaimedJob>()
  /** The next batch is at most so large. After a failure it begins anew with 1, and each success doubles it. */
  #nextSize: number
  /** Somebody paused it: it takes nothing on and starts nothing. */
  isPaused = false
  /** A job is on its way to see whether the destination is back. */
  #isProbing = false
  /** How many batches were sent since the start. */
  #batchCount = 0
  #isChoosing = false
  /** All that waits depends on what is running; there is no use in another look before that changes. */
  #isHeldUp = false
  #wake: NodeJS.Timeout | undefined

  /** @param capacity At most so many jobs are its own at once, in a copy or waiting for one. */
  constructor(target: Omit<Target, 'wasThere'>, capacity: number, events: LaneEvents) {
    const { destination } = target
    this.destination = destination
    this.#target = { ...target, wasThere: () => this.health.hasSucceeded }
    this.#capacity = capacity
    this.#nextSize = destination.batchSize
    this.health = new Health({ minMs: destination.retryMinMs, maxMs: destination.retryMaxMs })
    this.#events = events
  }

  /** The destination as jobs' records know it. */
  get place(): Place {
    return placeOf(this.destination)
  }

  /** True where the job still has to go to this destination. */
  isFor(job: Job): boolean {
    return isPendingAt(job, this.place)
  }

  /** Nothing was sent since the start. */
  get isUntried(): boolean {
    return this.#batchCount === 0
  }

  get isRunning(): boolean {
    return this.#underway.size > 0 || this.#settling.size > 0
  }

  /** How many bytes and jobs went out since the start. */
  get sent(): Rate {
    return this.#underway.sent
  }

  /** How the destination is, and what is on its way to it. */
  report(): DestinationReport {
    return { to: this.destination.to, ...this.health.report(), ...this.#underway.report() }
  }

  /** True while enough waits for a batch that is worth it. */
  get hasMany(): boolean {
    return this.#waiting.length >= Math.min(MANY, this.destination.batchSize)
  }

  /** True while a whole batch waits. */
  get isFull(): boolean {
    return this.#waiting.length >= this.destination.batchSize
  }

  /** How many more jobs it can do with: the next batch; one for a probe when the destination is down. */
  get room(): number {
    const held = this.#underway.jobCount + this.#settling.size + this.#delayed.size
    const free = this.#capacity - held - this.#waiting.length
    if (this.isPaused || free <= 0) return 0
    if (this.health.isDown) return this.health.waitMs === 0 && this.#nextProbe() === undefined ? 1 : 0
    return Math.max(0, Math.min(free, this.destination.batchSize - this.#waiting.length))
  }

  /** A job that was not tried yet since the destination went down. */
  #nextProbe(): ClaimedJob | undefined {
    return this.#waiting.find((claimed) => !this.#probed.has(claimed))
  }

  /** Queues a job, at the end. */
  add(claimed: ClaimedJob): void {
    this.#waiting.push(claimed)
    this.#isHeldUp = false
  }

  /** Puts a job aside that failed by itself, until its next attempt. */
  delay(claimed: ClaimedJob): void {
    const { retryMinMs, retryMaxMs } = this.destination
    const delays = (this.#delays.get(claimed) ?? 0) + 1
    this.#delays.set(claimed, delays)
    const timer = setTimeout(
      () => {
        this.#delayed.delete(claimed)
        this.add(claimed)
        this.#events.onChange()
      },
      waitAfter(delays, { minMs: retryMinMs, maxMs: retryMaxMs }),
    )
    this.#delayed.set(claimed, timer)
  }

  /** Starts the next batch if there is one and the destination may be tried. */
  start(signal: AbortSignal, onEnd: (summary: BatchSummary) => void): void {
    if (this.isPaused || this.#waiting.length === 0 || this.health.waitMs > 0 || signal.aborted) return
    if (this.health.isDown) this.#probe(signal, onEnd)
    else if (this.#underway.size === 0) this.#send(this.#nextBatch(this.#waiting), signal, onEnd)
    else if (this.#underway.size < this.destination.concurrency) {
      void this.#startBeside(signal, onEnd)
    }
  }

  /** Tries a destination that is down with one job, beside what may still be under way from before: that can take hours. */
  #probe(signal: AbortSignal, onEnd: (summary: BatchSummary) => void): void {
    if (this.#isProbing) return
    const probe = this.#nextProbe() ?? this.#waiting[0]
    if (!probe) return
    this.#isProbing = true
    this.#send(this.#nextBatch([probe]), signal, (summary) => {
      this.#isProbing = false
      onEnd(summary)
    })
  }

  /**
   * Starts another batch beside the running ones. What depends on a path under way stays behind, and so does what one
   * under way depends on: it would be uploaded twice.
   */
  async #startBeside(signal: AbortSignal, onEnd: (summary: BatchSummary) => void): Promise<void> {
    if (this.#isChoosing || this.#isHeldUp) return
    this.#isChoosing = true
    const asked = new Set(this.#waiting)
    const batches = this.#batchCount
    const pathsOf = (jobs: Iterable<ClaimedJob>) => [...jobs].flatMap(({ job }) => job.outPaths)
    // Where Nix can't tell (a path was collected meanwhile), everything stays behind.
    const held = await relatedTo(
      this.#target.store,
      pathsOf(this.#underway.jobs),
      pathsOf(asked),
      signal,
    ).catch(() => undefined)
    this.#isChoosing = false
    // Something else went out meanwhile, which nobody has compared with.
    if (this.#batchCount > batches) return this.#events.onChange()
    const isFree = (claimed: ClaimedJob) =>
      held !== undefined && asked.has(claimed) && !claimed.job.outPaths.some((path) => held.has(path))
    const free = this.#waiting.filter(isFree)
    // What came meanwhile was not asked about.
    const areAllHeld = free.length === 0 && this.#waiting.every((claimed) => asked.has(claimed))
    this.#isHeldUp = this.#underway.size > 0 && areAllHeld
    if (this.#underway.size > 0 && free.length > 0) this.#send(this.#nextBatch(free), signal, onEnd)
    else if (!this.#isHeldUp) this.#events.onChange()
  }

  /** Lets go of what it keeps open. */
  close(): void {
    this.#target.uploader.close?.()
  }

  /** Forgets all jobs that are not in a running copy, because they go back to `new/`. */
  clear(): void {
    clearTimeout(this.#wake)
    for (const timer of this.#delayed.values()) clearTimeout(timer)
    this.#delayed.clear()
    this.#waiting = []
  }

  isSending(claimed: ClaimedJob): boolean {
    return this.#settling.has(claimed) || this.#underway.jobs.includes(claimed)
  }

  /** Takes the next batch out of what waits; `from` is all of it or a part. */
  #nextBatch(from: readonly ClaimedJob[]): ClaimedJob[] {
    const size = this.#nextSize
    let paths = 0
    const end = from.findIndex(({ job }, at) => {
      paths += Math.max(1, job.outPaths.length)
      return at > 0 && paths > size
    })
    const batch = end === -1 ? [...from] : from.slice(0, end)
    const taken = new Set(batch)
    this.#waiting = this.#waiting.filter((claimed) => !taken.has(claimed))
    return batch
  }

  #send(jobs: ClaimedJob[], signal: AbortSignal, onEnd: (summary: BatchSummary) => void): void {
    this.#batchCount++
    void this.#deliver(jobs, signal, this.#underway.begin(jobs))
      .then(onEnd, (error: unknown) => {
        this.#isProbing = false
        this.#target.log.error({ err: error }, 'a bug in nix-upload')
      })
      .finally(() => this.#events.onChange())
  }

  async #deliver(jobs: ClaimedJob[], signal: AbortSignal, progress: UploadProgress): Promise<BatchSummary> {
    const startedAt = performance.now()
    const { outcomes, runs } = await deliver(jobs, this.#target, signal, progress)
    const delivered = [...outcomes.values()].filter(({ kind }) => kind === 'delivered').length
    this.#underway.end(jobs, delivered)
    this.#isHeldUp = false
    this.#noteHealth(outcomes)
    await this.#settle(outcomes)
    const ms = Math.round(performance.now() - startedAt)
    return { jobs: jobs.length, paths: pathsIn(jobs), runs, ms }
  }

  /** While the outcomes of a batch are written, a few milliseconds at a time, the next one goes out. */
  async #settle(outcomes: ReadonlyMap<ClaimedJob, Outcome>): Promise<void> {
    for (const claimed of outcomes.keys()) this.#settling.add(claimed)
    this.#events.onChange()
    let settled = 0
    for (const [claimed, outcome] of outcomes) {
      if (++settled % SETTLED_PER_TURN === 0) await nextTurn()
      this.#settling.delete(claimed)
      this.#events.onOutcome(this, claimed, outcome)
    }
  }

  #noteHealth(outcomes: ReadonlyMap<ClaimedJob, Outcome>): void {
    const failed = [...outcomes].flatMap(([claimed, outcome]) => {
      const error = destinationError(outcome)
      return error === undefined ? [] : [{ claimed, error }]
    })
    const isDelivered = [...outcomes.values()].some(({ kind }) => kind === 'delivered')
    if (failed[0]) this.#noteDown(failed[0].error)
    else if (isDelivered) this.#noteUp()
    for (const { claimed } of failed) this.#probed.add(claimed)
  }

  #noteUp(): void {
    const before = this.health.succeeded()
    this.#nextSize = Math.min(this.#nextSize * 2, this.destination.batchSize)
    if (before === 'ok') return
    this.#probed = new WeakSet()
    this.#events.onUp(this, before)
  }

  /** Batches that ran side by side fail side by side: that is one failure. */
  #noteDown(error: string): void {
    this.#nextSize = 1
    if (this.health.waitMs > 0) return
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
