import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import { wordsOf } from '../config/user-error.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { DeliveryRecord, Job } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import type { DestinationReport } from '../spool/report.ts'
import { record, release, settleDone, settleFailed } from '../spool/settle.ts'
import type { Outcome } from './batch.ts'
import { Lane } from './lane.ts'
import { routeTo } from './routes.ts'

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
  /** How many jobs ended in which way since the start. */
  readonly tally = { done: 0, failed: 0 }
  readonly #context: DeliveryContext
  /** For each job in hand, the lanes that still have it. */
  readonly #inHand = new Map<string, { claimed: ClaimedJob; lanes: Set<Lane> }>()
  /** Jobs that know more than their file does. */
  readonly #unrecorded = new Set<ClaimedJob>()
  readonly #abort = new AbortController()
  #isStopping = false

  constructor(context: DeliveryContext) {
    this.#context = context
    this.lanes = context.config.destinations.map((destination) => {
      return new Lane(destination, routeTo(destination), {
        onOutcome: (lane, claimed, outcome) => this.#settle(lane, claimed, outcome),
        onDown: (lane, error, waitMs) => {
          const nextAttemptIn = formatDuration(waitMs)
          context.log.warn(
            { destination: lane.destination.name, error, nextAttemptIn },
            'the destination is down',
          )
          context.onHealth()
        },
        onUp: (lane, before) => {
          if (before === 'down')
            context.log.info({ destination: lane.destination.name }, 'the destination is back')
          context.onHealth()
        },
        onChange: () => this.#change(),
      })
    })
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
    return Object.fromEntries(this.lanes.map((lane) => [lane.destination.name, lane.health.report()]))
  }

  #pendingLanes(job: Job): Lane[] {
    return this.lanes.filter((lane) => lane.isFor(job))
  }

  #change(): void {
    this.start()
    this.#context.onChange()
  }

  #settle(lane: Lane, claimed: ClaimedJob, outcome: Outcome): void {
    const entry = this.#inHand.get(claimed.name)
    if (!entry) return
    const isStaying = this.#note(lane, claimed, outcome)
    if (isStaying && !this.#isStopping) return
    entry.lanes.delete(lane)
    if (entry.lanes.size === 0) this.#finish(claimed)
  }

  /** Writes an outcome into the job. Returns true where the lane keeps the job for another attempt. */
  #note(lane: Lane, claimed: ClaimedJob, outcome: Outcome): boolean {
    const { name } = lane.destination
    const log = this.#context.log.child({ job: claimed.name, destination: name })
    const before = claimed.job.destinations[name] ?? { state: 'waiting', attempts: 0 }
    const now = new Date().toISOString()
    if (outcome.kind === 'aborted') return false
    if (outcome.kind === 'delivered') {
      const { error: _, ...rest } = before
      const note = outcome.note === undefined ? {} : { note: outcome.note }
      this.#update(claimed, name, { ...rest, state: 'done', settledAt: now, ...note })
      log.info({ paths: claimed.job.outPaths.length, ...note }, 'delivered')
      return false
    }
    if (outcome.kind === 'skipped') {
      this.#update(claimed, name, { ...before, state: 'skipped', settledAt: now, note: outcome.reason })
      log.info({ reason: outcome.reason }, 'skipped')
      return false
    }
    const { blame, permanent, message } = outcome.verdict
    if (blame === 'destination') return this.#noteDown(lane, claimed, before, message)
    const attempts = before.attempts + 1
    const isGivenUp = permanent || attempts >= lane.destination.maxAttempts
    const failed: DeliveryRecord = {
      ...before,
      attempts,
      lastAttemptAt: now,
      error: message,
      state: 'waiting',
    }
    if (isGivenUp) {
      this.#update(claimed, name, { ...failed, state: 'failed', settledAt: now })
      log.error({ attempts, error: message }, 'given up')
      return false
    }
    this.#update(claimed, name, failed)
    if (!this.#isStopping) lane.delay(claimed, attempts)
    log.warn({ attempts, error: message }, 'failed, will be tried again')
    this.#record(claimed)
    return true
  }

  /** A failure of the destination's costs the job nothing; it is written down once, so that `cat` tells why it waits. */
  #noteDown(lane: Lane, claimed: ClaimedJob, before: DeliveryRecord, message: string): boolean {
    const { name } = lane.destination
    if (before.error !== message) {
      this.#update(claimed, name, {
        ...before,
        state: 'waiting',
        error: message,
        lastAttemptAt: new Date().toISOString(),
      })
      this.#record(claimed)
    }
    if (!this.#isStopping) lane.add(claimed)
    return true
  }

  #update(claimed: ClaimedJob, destination: string, delivery: DeliveryRecord): void {
    claimed.job = { ...claimed.job, destinations: { ...claimed.job.destinations, [destination]: delivery } }
    this.#unrecorded.add(claimed)
  }

  #record(claimed: ClaimedJob): void {
    if (this.#unrecorded.delete(claimed)) this.#write(() => record(this.#context.spool, claimed), claimed)
  }

  /** Moves a job on that no lane has any more. */
  #finish(claimed: ClaimedJob): void {
    const { spool, roots, log } = this.#context
    const records = Object.values(claimed.job.destinations)
    if (this.#pendingLanes(claimed.job).length > 0) {
      this.#release(claimed)
      return
    }
    const hasFailed = records.some(({ state }) => state === 'failed')
    this.#inHand.delete(claimed.name)
    this.#unrecorded.delete(claimed)
    const settle = () => (hasFailed ? settleFailed(spool, claimed) : settleDone(spool, roots, claimed))
    const target = this.#write(settle, claimed)
    if (target === undefined) {
      log.info({ job: claimed.name }, 'the job was moved away by somebody, so it is left where it is')
    } else if (target !== false) {
      this.tally[hasFailed ? 'failed' : 'done']++
    }
  }

  #release(claimed: ClaimedJob): void {
    this.#record(claimed)
    this.#inHand.delete(claimed.name)
    this.#write(() => release(this.#context.spool, claimed.name), claimed)
  }

  /**
   * Does something to a job's file. Where the disk won't have it (full, broken), the job stays where it is, in `cur/`,
   * nobody's, and the next rescan returns it to `new/`.
   */
  #write<T>(act: () => T, claimed: ClaimedJob): T | false {
    try {
      return act()
    } catch (error) {
      const { log } = this.#context
      log.error(
        { job: claimed.name, error: wordsOf(error) },
        'the spool could not be written; the job stays in cur/',
      )
      return false
    }
  }
}
