import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Job } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import { own } from '../util/own.ts'
import type { Observer } from './observer.ts'
import { OpenPlaces } from './open-places.ts'
import { afterOutcome, type Outcome } from './outcome.ts'
import type { Route } from './route.ts'
import { Routes } from './routes.ts'
import { Settlement } from './settlement.ts'
import { tell } from './tell.ts'
import type { Worker } from './worker.ts'

/** At most this many jobs are claimed at once; the rest wait in `new/`, where they cost no memory. */
const MAX_IN_HAND = 1000

/** What a dispatcher needs from its caller. */
export interface DispatcherContext {
  spool: Spool
  roots: GcRoots
  config: Config
  log: Logger
  /** Called when there may be room for more jobs. */
  onChange: () => void
  /** Called when a destination's state changed. */
  onHealth: () => void
  /** Called with paths that have GC roots only now. */
  onRooted: (paths: readonly string[]) => void
  observer?: Observer | undefined
}

/**
 * Holds the claimed jobs: gives each to the workers of the destinations that it still has to go to, and moves it on once no
 * worker has it any more.
 */
export class Dispatcher {
  readonly routes: Routes
  readonly #context: DispatcherContext
  readonly #inHand = new Map<string, ClaimedJob>()
  readonly #settlement: Settlement
  readonly #places: OpenPlaces
  /** More jobs are being claimed: when a batch ends, the next one waits for more than the few jobs that are there. */
  isFilling = false
  /** A job went back to `new/` because a destination had no room; no scan has counted it yet. */
  hasGivenBack = false

  constructor(context: DispatcherContext) {
    const { config } = context
    this.#context = context
    this.#settlement = new Settlement(context)
    this.#places = new OpenPlaces(config)
    this.routes = new Routes(config, MAX_IN_HAND, {
      ...context,
      onOutcome: (route, claimed, outcome) => this.#onOutcome(route, claimed, outcome),
      onOutputs: (claimed) => context.onRooted(this.#settlement.protect(claimed)),
      onChange: () => {
        this.start()
        context.onChange()
      },
    })
  }

  /** How many jobs had each result since the start. */
  get tally(): Readonly<{ done: number; failed: number }> {
    return this.#settlement.tally
  }

  get inHand(): number {
    return this.#inHand.size
  }

  get isRunning(): boolean {
    return this.#settlement.size > 0 || this.routes.isRunning
  }

  /** Destinations that can take more jobs. */
  get workersWithRoom(): Worker[] {
    return this.routes.workersWithRoom
  }

  /** True while no job can be taken on. */
  get isFull(): boolean {
    return this.#inHand.size >= MAX_IN_HAND || this.workersWithRoom.length === 0
  }

  /** True if some destination that a job still has to go to takes it now. */
  wants(job: Job): boolean {
    if (this.routes.isPending(job)) return this.routes.takersOf(job).length > 0
    return !this.#places.waitsElsewhere(job)
  }

  isOurs(name: string): boolean {
    return this.#inHand.has(name)
  }

  /** Takes a claimed job. Workers without room get it later: while another worker has it, or through `new/`. */
  accept(claimed: ClaimedJob): void {
    this.#inHand.set(claimed.name, claimed)
    this.#offer(claimed)
    if (!this.#isHad(claimed)) this.#finish(claimed)
  }

  /** Starts what can be started. */
  start(): void {
    const isSpread = this.routes.all.length > 1 && this.workersWithRoom.length > 0
    if (isSpread) for (const claimed of this.#inHand.values()) this.#offer(claimed)
    for (const worker of this.routes.workers) if (!this.isFilling || worker.hasMany) worker.start()
  }

  /** Sends the first few jobs to destinations that have got nothing yet, so that these need not wait until a whole batch is claimed. */
  startUntried(): void {
    for (const worker of this.routes.workers) if (worker.isUntried) worker.start()
  }

  /** See `Routes.getReady`. */
  getReady(): void {
    this.routes.getReady()
  }

  /** Returns jobs that are not in flight to `new/`: when pausing, or when a drain is done. */
  releaseIdle(): void {
    for (const worker of this.routes.workers) worker.clear()
    // Jobs in flight to another destination go back when that has ended.
    for (const claimed of [...this.#inHand.values()]) if (!this.#isHad(claimed)) this.#release(claimed)
  }

  /**
   * Starts nothing more, lets batches in flight finish within the grace, ends them after that, and returns unfinished jobs
   * to `new/`.
   */
  async stop(graceMs: number): Promise<void> {
    for (const worker of this.routes.workers) worker.stop()
    this.releaseIdle()
    const deadline = setTimeout(() => this.routes.abort(), graceMs)
    while (this.isRunning) await new Promise((resolve) => setTimeout(resolve, 20))
    clearTimeout(deadline)
    // Ends questions to Nix whose answers nobody needs any more.
    this.routes.abort()
    this.releaseIdle()
    await this.#settlement.finish()
    this.routes.close()
  }

  /** True while something is still to happen to a job before it may go back to `new/`. */
  #isHad(claimed: ClaimedJob): boolean {
    return this.#settlement.has(claimed) || this.routes.holdersOf(claimed).length > 0
  }

  /** Gives a job to the workers of the destinations that it still has to go to, as far as they have room. */
  #offer(claimed: ClaimedJob): void {
    for (const worker of this.routes.takersOf(claimed.job)) if (!worker.has(claimed)) worker.add(claimed)
  }

  #onOutcome({ destination, place, worker }: Route, claimed: ClaimedJob, outcome: Outcome): void {
    const { name, maxAttempts } = destination
    const last = own(claimed.job.destinations, name)
    // A record of another place with the same name doesn't count for this one.
    const before = last && (last.to ?? place.to) === place.to ? last : undefined
    const { record: after, next } = afterOutcome(before, outcome, maxAttempts, new Date())
    const record = { ...after, to: place.to }
    tell(this.#context, claimed, name, record, next)
    // A destination that stays down fails every probe in the same way; the error is written once, for people who read the job.
    if (next !== 'wait' || record.error !== before?.error) this.#settlement.update(claimed, name, record)
    // While a destination is down each probe takes another job, and not all of them need to be in hand.
    // However many jobs fail again and again, others go through: those that find no place wait in `new/`.
    const isDelayed = (next === 'retry' || next === 'hold') && !worker.isLaden
    const isStaying = isDelayed || (next === 'wait' && !worker.isFull)
    if (isStaying && worker.mode !== 'stopping') {
      this.#settlement.record(claimed)
      if (isDelayed) worker.delay(claimed)
      else worker.add(claimed)
      return
    }
    worker.remove(claimed)
    const others = this.routes.holdersOf(claimed)
    if (others.length === 0) this.#finish(claimed)
    // The job may wait for days, and until then its file would not have these records.
    else if (others.every(({ health, isPaused }) => health.isDown || isPaused)) this.#record(claimed)
  }

  /**
   * Moves on a job that no worker has any more: settled, or back to `new/` if a destination still lacks it, even one that
   * isn't delivered to now.
   */
  #finish(claimed: ClaimedJob): void {
    const { job } = claimed
    const isOpen = this.routes.isPending(job) || this.#places.waitsElsewhere(job)
    this.hasGivenBack ||= isOpen
    if (isOpen) this.#release(claimed)
    else this.#settlement.settle(claimed, () => this.#inHand.delete(claimed.name))
  }

  #release(claimed: ClaimedJob): void {
    this.#inHand.delete(claimed.name)
    this.#record(claimed)
    this.#settlement.release(claimed)
  }

  /** Writes all records of a job that waits on: by settled ones alone, it would count as requeued after a crash. */
  #record(claimed: ClaimedJob): void {
    for (const [name, record] of this.#places.missingRecords(claimed.job))
      this.#settlement.update(claimed, name, record)
    this.#settlement.record(claimed)
  }
}
