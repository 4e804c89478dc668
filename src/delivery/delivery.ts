import type { Logger } from 'pino'
import type { Config, Destination } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { DeliveryRecord, Job } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import type { DestinationReport } from '../spool/report.ts'
import { Lane } from './lane.ts'
import { afterOutcome, type Next, type Outcome } from './outcome.ts'
import { routeTo } from './routes.ts'
import { Settlement } from './settlement.ts'

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
}

/** The jobs in hand and the lanes they go out on; settles each job once every lane it was on is through with it. */
export class Delivery {
  readonly lanes: readonly Lane[]
  readonly #context: DeliveryContext
  /** For each job in hand, the lanes that still have it. */
  readonly #inHand = new Map<string, { claimed: ClaimedJob; lanes: Set<Lane> }>()
  readonly #settlement: Settlement
  readonly #abort = new AbortController()
  #isStopping = false

  constructor(context: DeliveryContext) {
    this.#context = context
    this.#settlement = new Settlement(context)
    this.lanes = context.config.destinations.map((destination) => this.#laneTo(destination))
  }

  #laneTo(destination: Destination): Lane {
    const log = this.#context.log.child({ destination: destination.name })
    return new Lane(destination, routeTo(destination), {
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
    // A job for nobody (its destinations were taken out of the configuration) is claimed, to be settled.
    return pending.length === 0 || pending.some((lane) => lane.room > 0)
  }

  isOurs(name: string): boolean {
    return this.#inHand.has(name)
  }

  /** Takes a claimed job on. Lanes without room get it another time, by way of `new/`. */
  accept(claimed: ClaimedJob): void {
    const lanes = new Set(this.#pendingLanes(claimed.job).filter((lane) => lane.room > 0))
    this.#inHand.set(claimed.name, { claimed, lanes })
    for (const lane of lanes) lane.add(claimed)
    if (lanes.size === 0) this.#finish(claimed)
  }

  /** Starts what can be started. */
  start(): void {
    if (this.#isStopping) return
    for (const lane of this.lanes) {
      lane.start(this.#abort.signal, (summary) => {
        this.#context.log.debug({ destination: lane.destination.name, ...summary }, 'batch through')
      })
    }
  }

  /** Gives back to `new/` what is not in a running copy: when pausing, or when a drain is through. */
  releaseIdle(): void {
    for (const lane of this.lanes) lane.clear()
    for (const { claimed } of [...this.#inHand.values()]) {
      if (!this.lanes.some((lane) => lane.isSending(claimed))) this.#release(claimed)
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
    this.releaseIdle()
  }

  /** Ends running copies now. */
  abort(): void {
    this.#abort.abort()
  }

  report(): Record<string, DestinationReport> {
    return Object.fromEntries(
      this.lanes.map(({ destination, health }) => [
        destination.name,
        { to: destination.to, ...health.report() },
      ]),
    )
  }

  #pendingLanes(job: Job): Lane[] {
    return this.lanes.filter((lane) => lane.isFor(job))
  }

  #settle(lane: Lane, claimed: ClaimedJob, outcome: Outcome): void {
    const entry = this.#inHand.get(claimed.name)
    if (!entry) return
    const { name, maxAttempts } = lane.destination
    const before = claimed.job.destinations[name]
    const { record, next } = afterOutcome(before, outcome, maxAttempts, new Date())
    this.#log(claimed, name, record, next)
    // A destination that stays down says the same at every probe; that is written once, for who reads the job.
    if (next !== 'wait' || record.error !== before?.error) this.#settlement.update(claimed, name, record)
    const isStaying = !this.#isStopping && (next === 'retry' || next === 'wait')
    if (isStaying) {
      this.#settlement.record(claimed)
      if (next === 'retry') lane.delay(claimed, record.attempts)
      else lane.add(claimed)
      return
    }
    entry.lanes.delete(lane)
    if (entry.lanes.size === 0) this.#finish(claimed)
  }

  #log(claimed: ClaimedJob, destination: string, record: DeliveryRecord, next: Next): void {
    const log = this.#context.log.child({ job: claimed.name, destination })
    const { attempts, error, note } = record
    if (next === 'retry') log.warn({ attempts, error }, 'failed, will be tried again')
    if (next !== 'settled') return
    if (record.state === 'failed') log.error({ attempts, error }, 'given up')
    else
      log.info(
        { paths: claimed.job.outPaths.length, note },
        record.state === 'skipped' ? 'skipped' : 'delivered',
      )
  }

  /** Moves a job on that no lane has any more: settled, or back to `new/` where a destination still lacks it. */
  #finish(claimed: ClaimedJob): void {
    if (this.#pendingLanes(claimed.job).length > 0) {
      this.#release(claimed)
      return
    }
    this.#inHand.delete(claimed.name)
    this.#settlement.settle(claimed)
  }

  #release(claimed: ClaimedJob): void {
    this.#inHand.delete(claimed.name)
    this.#noteWaiting(claimed)
    this.#settlement.release(claimed)
  }

  /** In `new/`, a job with no record but settled ones is a requeued job, so it says what it still waits for. */
  #noteWaiting(claimed: ClaimedJob): void {
    if (Object.keys(claimed.job.destinations).length === 0) return
    for (const { destination } of this.#pendingLanes(claimed.job)) {
      if (claimed.job.destinations[destination.name] !== undefined) continue
      this.#settlement.update(claimed, destination.name, { state: 'waiting', attempts: 0 })
    }
  }
}
