import type { Logger } from 'pino'
import { Packer } from '../cache/nar/packer.ts'
import type { Config, Destination } from '../config/config.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import { StoreSession } from '../nix/store-session.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Job } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import { Rates } from '../transport/rates.ts'
import type { Observer } from './observer.ts'
import { OpenPlaces } from './open-places.ts'
import { afterOutcome, type Outcome } from './outcome.ts'
import { Route } from './route.ts'
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
  observer?: Observer | undefined
}

/**
 * Holds the claimed jobs: gives each to the workers of the destinations that it still has to go to, and moves it on once no
 * worker has it any more.
 */
export class Dispatcher {
  readonly routes: readonly Route[]
  readonly #context: DispatcherContext
  readonly #inHand = new Map<string, ClaimedJob>()
  readonly #settlement: Settlement
  readonly #places: OpenPlaces
  readonly #packer: Packer
  readonly #rates = new Rates()
  readonly #store = new StoreSession()
  /** More jobs are being claimed: when a batch ends, the next one waits for more than the few jobs that are there. */
  isFilling = false
  /** A job went back to `new/` because a destination had no room; no scan has counted it yet. */
  hasGivenBack = false

  constructor(context: DispatcherContext) {
    const { config } = context
    this.#context = context
    this.#settlement = new Settlement(context)
    this.#places = new OpenPlaces(config)
    this.#packer = new Packer(config.packJobs)
    this.routes = config.destinations.map((destination) => this.#routeTo(destination))
    this.#rates.set(config)
  }

  #routeTo(destination: Destination): Route {
    const { config, log, observer, onHealth, onChange } = this.#context
    return new Route(destination, {
      // Each destination has its own share of places: if one is slow or stands still, the others keep theirs.
      capacity: Math.max(1, Math.floor(MAX_IN_HAND / config.destinations.length)),
      store: this.#store,
      packer: this.#packer,
      rates: this.#rates,
      log,
      observer,
      onHealth,
      onOutcome: (route, claimed, outcome) => this.#onOutcome(route, claimed, outcome),
      onChange: () => {
        this.start()
        onChange()
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
    return this.#settlement.size > 0 || this.#workers.some((worker) => worker.isRunning)
  }

  /** False while some destination is down or paused. */
  get areAllUp(): boolean {
    return this.#workers.every(({ health, isPaused }) => !health.isDown && !isPaused)
  }

  /** Destinations that can take more jobs. */
  get workersWithRoom(): Worker[] {
    return this.#workers.filter((worker) => worker.room > 0)
  }

  /** True while no job can be taken on. */
  get isFull(): boolean {
    return this.#inHand.size >= MAX_IN_HAND || this.#workers.every((worker) => worker.room === 0)
  }

  /** True if some destination that a job still has to go to has room for it. */
  wants(job: Job): boolean {
    const pending = this.#pendingWorkers(job)
    return pending.length > 0 ? pending.some((worker) => worker.room > 0) : !this.#places.waitsElsewhere(job)
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
    const isSpread = this.routes.length > 1 && this.workersWithRoom.length > 0
    if (isSpread) for (const claimed of this.#inHand.values()) this.#offer(claimed)
    for (const worker of this.#workers) if (!this.isFilling || worker.hasMany) worker.start()
  }

  /** Sends the first few jobs to destinations that have got nothing yet, so that these need not wait until a whole batch is claimed. */
  startUntried(): void {
    for (const worker of this.#workers) if (worker.isUntried) worker.start()
  }

  /** Starts Nix for the questions at the beginning of a batch, while its jobs are still being claimed. */
  getReady(): void {
    this.#store.open()
  }

  /** @param isPaused Whether a destination is paused, given its name. */
  pause(isPaused: (name: string) => boolean): void {
    for (const { destination, worker } of this.routes) worker.isPaused = isPaused(destination.name)
  }

  /** Returns jobs that are not in flight to `new/`: when pausing, or when a drain is done. */
  releaseIdle(): void {
    for (const worker of this.#workers) worker.clear()
    // Jobs in flight to another destination go back when that has ended.
    for (const claimed of [...this.#inHand.values()]) if (!this.#isHad(claimed)) this.#release(claimed)
  }

  /**
   * Starts nothing more, lets batches in flight finish within the grace, ends them after that, and returns unfinished jobs
   * to `new/`.
   */
  async stop(graceMs: number): Promise<void> {
    for (const worker of this.#workers) worker.stop()
    this.releaseIdle()
    const deadline = setTimeout(() => this.abort(), graceMs)
    while (this.isRunning) await new Promise((resolve) => setTimeout(resolve, 20))
    clearTimeout(deadline)
    // Ends questions to Nix whose answers nobody needs any more.
    this.abort()
    this.releaseIdle()
    await this.#settlement.finish()
    for (const route of this.routes) route.close()
    this.#store.close()
    this.#packer.close()
  }

  /** Applies the limits of another configuration, and nothing else of it. */
  setRates(config: Config): void {
    this.#rates.set(config)
  }

  /** Ends what is in flight now, and starts nothing more. */
  abort(): void {
    for (const worker of this.#workers) worker.abort()
  }

  get #workers(): Worker[] {
    return this.routes.map(({ worker }) => worker)
  }

  #pendingWorkers(job: Job): Worker[] {
    return this.routes.flatMap((route) => (route.isFor(job) ? [route.worker] : []))
  }

  /** True while something is still to happen to a job before it may go back to `new/`. */
  #isHad(claimed: ClaimedJob): boolean {
    return this.#settlement.has(claimed) || this.#workers.some((worker) => worker.has(claimed))
  }

  /** Gives a job to the workers of the destinations that it still has to go to, as far as they have room. */
  #offer(claimed: ClaimedJob): void {
    for (const worker of this.#pendingWorkers(claimed.job))
      if (!worker.has(claimed) && worker.room > 0) worker.add(claimed)
  }

  #onOutcome({ destination, place, worker }: Route, claimed: ClaimedJob, outcome: Outcome): void {
    const { name, maxAttempts } = destination
    const last = claimed.job.destinations[name]
    // A record of another place with the same name doesn't count for this one.
    const before = last && (last.to ?? place.to) === place.to ? last : undefined
    const { record: after, next } = afterOutcome(before, outcome, maxAttempts, new Date())
    const record = { ...after, to: place.to }
    tell(this.#context, claimed, name, record, next)
    // A destination that stays down fails every probe in the same way; the error is written once, for people who read the job.
    if (next !== 'wait' || record.error !== before?.error) this.#settlement.update(claimed, name, record)
    // While a destination is down each probe takes another job, and not all of them need to be in hand.
    const isDelayed = next === 'retry' || next === 'hold'
    const isStaying = isDelayed || (next === 'wait' && !worker.isFull)
    if (isStaying && worker.mode !== 'stopping') {
      this.#settlement.record(claimed)
      if (isDelayed) worker.delay(claimed)
      else worker.add(claimed)
      return
    }
    worker.remove(claimed)
    const others = this.#workers.filter((other) => other.has(claimed))
    if (others.length === 0) this.#finish(claimed)
    // The job may wait for days, and until then its file would not have these records.
    else if (others.every(({ health, isPaused }) => health.isDown || isPaused))
      this.#settlement.record(claimed)
  }

  /**
   * Moves on a job that no worker has any more: settled, or back to `new/` if a destination still lacks it, even one that
   * isn't delivered to now.
   */
  #finish(claimed: ClaimedJob): void {
    const { job } = claimed
    const isOpen = this.#pendingWorkers(job).length > 0 || this.#places.waitsElsewhere(job)
    this.hasGivenBack ||= isOpen
    if (isOpen) this.#release(claimed)
    else this.#settlement.settle(claimed, () => this.#inHand.delete(claimed.name))
  }

  #release(claimed: ClaimedJob): void {
    this.#inHand.delete(claimed.name)
    for (const [name, record] of this.#places.missingRecords(claimed.job))
      this.#settlement.update(claimed, name, record)
    this.#settlement.release(claimed)
  }
}
