import type { Logger } from 'pino'
import { Packer } from '../cache/nar/packer.ts'
import type { Config, Destination } from '../config/config.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import { StoreSession } from '../nix/store-session.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import { isPendingAt, type Job, strangersOf } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import type { DestinationReport } from '../spool/report.ts'
import { Rates } from '../transport/rates.ts'
import { formatDuration } from '../util/duration.ts'
import { Lane, placeOf } from './lane.ts'
import type { Observer } from './observer.ts'
import { afterOutcome, type Outcome } from './outcome.ts'
import { Settlement } from './settlement.ts'
import { tell } from './tell.ts'
import { uploaderFor } from './uploaders.ts'

/** At most so many jobs are claimed at once; the rest wait in `new/`, where they cost no memory. */
export const MAX_IN_HAND = 1000

/** What a delivery needs from the one who runs it. */
export interface DeliveryContext {
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

interface InHand {
  claimed: ClaimedJob
  lanes: Set<Lane>
}

/** The jobs in hand and the lanes they go out on; settles each job once every lane it was on is through with it. */
export class Delivery {
  readonly lanes: readonly Lane[]
  readonly #context: DeliveryContext
  /** For each job in hand, the lanes that still have it. */
  readonly #inHand = new Map<string, InHand>()
  /** Those that are not on all of their lanes yet, for want of room. */
  readonly #partly = new Set<InHand>()
  readonly #settlement: Settlement
  /** Of the destinations that are configured. */
  readonly #names: ReadonlySet<string>
  readonly #packer: Packer
  readonly #rates = new Rates()
  readonly #store = new StoreSession()
  readonly #abort = new AbortController()
  #isStopping = false
  /** More jobs are being claimed: a batch that ends meanwhile is not followed by one of the few that came by then. */
  isFilling = false

  constructor(context: DeliveryContext) {
    this.#context = context
    this.#settlement = new Settlement(context)
    this.#names = new Set(context.config.destinations.map(({ name }) => name))
    this.#packer = new Packer(context.config.packJobs)
    this.lanes = context.config.destinations.map((destination) => this.#laneTo(destination))
    this.#rates.set(context.config)
  }

  #laneTo(destination: Destination): Lane {
    const log = this.#context.log.child({ destination: destination.name })
    // Each has a share that no other can take up: one that stands still, or is slow, keeps nothing from the others.
    const capacity = Math.max(1, Math.floor(MAX_IN_HAND / this.#context.config.destinations.length))
    const shared = { store: this.#store, packer: this.#packer, rates: this.#rates, log }
    const target = { destination, uploader: uploaderFor(destination, shared), store: this.#store, log }
    return new Lane(target, capacity, {
      onOutcome: (lane, claimed, outcome) => this.#settle(lane, claimed, outcome),
      onDown: (_lane, error, waitMs) => {
        log.warn({ error, nextAttemptIn: formatDuration(waitMs) }, 'the destination is down')
        this.#context.onHealth()
      },
      onUp: (_lane, before) => {
        if (before === 'down') log.info('the destination is back')
        this.#context.onHealth()
      },
      onChange: () => {
        this.start()
        this.#context.onChange()
      },
    })
  }

  /** How many jobs ended in which way since the start. */
  get tally(): Readonly<{ done: number; failed: number }> {
    return this.#settlement.tally
  }

  get inHand(): number {
    return this.#inHand.size
  }

  get isRunning(): boolean {
    return this.lanes.some((lane) => lane.isRunning)
  }

  /** True while some destination can do with more jobs. */
  get hasRoom(): boolean {
    return !this.#isStopping && this.lanes.some((lane) => lane.room > 0)
  }

  /** True where some destination that a job still has to go to has room for it. */
  wants(job: Job): boolean {
    const pending = this.#pendingLanes(job)
    return pending.length > 0 ? pending.some((lane) => lane.room > 0) : !this.#waitsElsewhere(job)
  }

  isOurs(name: string): boolean {
    return this.#inHand.has(name)
  }

  /**
   * Takes a claimed job on. Lanes without room get it later: while it is in hand for another one, or by way of `new/`.
   */
  accept(claimed: ClaimedJob): void {
    const entry: InHand = { claimed, lanes: new Set() }
    this.#inHand.set(claimed.name, entry)
    this.#offer(entry)
    if (entry.lanes.size === 0) this.#finish(claimed)
  }

  /** Puts a job on the lanes that have room for it. */
  #offer(entry: InHand): void {
    const { claimed, lanes } = entry
    const missing = this.#pendingLanes(claimed.job).filter((lane) => !lanes.has(lane))
    const taking = missing.filter((lane) => lane.room > 0)
    for (const lane of taking) {
      lanes.add(lane)
      lane.add(claimed)
    }
    if (taking.length < missing.length) this.#partly.add(entry)
    else this.#partly.delete(entry)
  }

  /** Starts what can be started. */
  start(): void {
    if (this.#isStopping) return
    if (this.lanes.some((lane) => lane.room > 0)) for (const entry of this.#partly) this.#offer(entry)
    this.#start(this.isFilling ? this.lanes.filter((lane) => lane.hasMany) : this.lanes)
  }

  /** Sends the first few jobs to destinations that nothing went to yet, so that they need not wait for the claims of a whole batch. */
  startUntried(): void {
    if (!this.#isStopping) this.#start(this.lanes.filter((lane) => lane.isUntried))
  }

  /** Has Nix ready for the questions that a batch begins with, while its jobs are still being claimed. */
  getReady(): void {
    if (!this.#isStopping) this.#store.open()
  }

  #start(lanes: readonly Lane[]): void {
    for (const lane of lanes) {
      lane.start(this.#abort.signal, (summary) => {
        const destination = lane.destination.name
        this.#context.observer?.onBatch(destination, summary.ms)
        this.#context.log.debug({ destination, ...summary }, 'batch through')
      })
    }
  }

  /** Gives back to `new/` what is not in a running copy: when pausing, or when a drain is through. */
  releaseIdle(): void {
    for (const lane of this.lanes) lane.clear()
    for (const { claimed, lanes } of [...this.#inHand.values()]) {
      // Those that it only waited on don't have it any more; it goes back once the others are through.
      for (const lane of lanes) if (!lane.isSending(claimed)) lanes.delete(lane)
      if (lanes.size === 0) this.#release(claimed)
    }
  }

  /**
   * Starts nothing more, lets running copies finish within the grace, ends them after it, and returns what is
   * unfinished to `new/`.
   */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true
    this.releaseIdle()
    const deadline = setTimeout(() => this.#abort.abort(), graceMs)
    while (this.isRunning) await new Promise((resolve) => setTimeout(resolve, 20))
    clearTimeout(deadline)
    // Nobody wants to know any more what could have gone out beside them.
    this.#abort.abort()
    this.releaseIdle()
    await this.#settlement.finish()
    for (const lane of this.lanes) lane.close()
    this.#store.close()
    this.#packer.close()
  }

  /** Takes the limits of another configuration over; nothing else of it. */
  setRates(config: Config): void {
    this.#rates.set(config)
  }

  /** Ends running copies now. */
  abort(): void {
    this.#abort.abort()
  }

  report(): Record<string, DestinationReport> {
    return Object.fromEntries(this.lanes.map((lane) => [lane.destination.name, lane.report()]))
  }

  #pendingLanes(job: Job): Lane[] {
    return this.lanes.filter((lane) => lane.isFor(job))
  }

  #settle(lane: Lane, claimed: ClaimedJob, outcome: Outcome): void {
    const entry = this.#inHand.get(claimed.name)
    if (!entry) return
    const { name, maxAttempts } = lane.destination
    const { to } = lane.place
    const last = claimed.job.destinations[name]
    // What was so at another place by that name says nothing of this one.
    const before = last && (last.to ?? to) === to ? last : undefined
    const { record: after, next } = afterOutcome(before, outcome, maxAttempts, new Date())
    const record = { ...after, to }
    tell(this.#context, claimed, name, record, next)
    // A destination that stays down says the same at every probe; that is written once, for who reads the job.
    if (next !== 'wait' || record.error !== before?.error) this.#settlement.update(claimed, name, record)
    // While a destination is down each probe takes another job, and not all of them need to be in hand.
    const isDelayed = next === 'retry' || next === 'hold'
    const isStaying = !this.#isStopping && (isDelayed || (next === 'wait' && !lane.isFull))
    if (isStaying) {
      this.#settlement.record(claimed)
      if (isDelayed) lane.delay(claimed)
      else lane.add(claimed)
      return
    }
    entry.lanes.delete(lane)
    const others = [...entry.lanes]
    if (others.length === 0) this.#finish(claimed)
    // What it waits for can take days, and until then its file would not say what it has got.
    else if (others.every(({ health, isPaused }) => health.isDown || isPaused))
      this.#settlement.record(claimed)
  }

  /**
   * Moves a job on that no lane has any more: settled, or back to `new/` where a destination still lacks it, be it one that
   * isn't delivered to now.
   */
  #finish(claimed: ClaimedJob): void {
    if (this.#pendingLanes(claimed.job).length > 0 || this.#waitsElsewhere(claimed.job)) {
      this.#release(claimed)
      return
    }
    this.#letGo(claimed)
    this.#settlement.settle(claimed)
  }

  /** Whether a job waits for a destination that is not configured now, or that `--to` stands in for. */
  #waitsElsewhere(job: Job): boolean {
    const { others } = this.#context.config
    if (others.some((other) => isPendingAt(job, placeOf(other)))) return true
    return strangersOf(job, this.#names).length > 0
  }

  #letGo({ name }: ClaimedJob): void {
    const entry = this.#inHand.get(name)
    this.#inHand.delete(name)
    if (entry) this.#partly.delete(entry)
  }

  #release(claimed: ClaimedJob): void {
    this.#letGo(claimed)
    this.#noteWaiting(claimed)
    this.#settlement.release(claimed)
  }

  /** In `new/`, a job with no record but settled ones is a requeued job, so it says what it still waits for. */
  #noteWaiting(claimed: ClaimedJob): void {
    if (Object.keys(claimed.job.destinations).length === 0) return
    const { config } = this.#context
    for (const place of [...config.destinations, ...config.others].map(placeOf)) {
      const isNoted = claimed.job.destinations[place.name]?.state === 'waiting'
      if (isNoted || !isPendingAt(claimed.job, place)) continue
      this.#settlement.update(claimed, place.name, { state: 'waiting', attempts: 0, to: place.to })
    }
  }
}
