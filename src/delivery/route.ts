import type { Logger } from 'pino'
import type { Packer } from '../cache/nar/packer.ts'
import type { Destination } from '../config/config.ts'
import { relatedTo } from '../nix/closure-overlap.ts'
import type { StoreSession } from '../nix/store-session.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import { isPendingAt, type Job, type Place } from '../spool/job.ts'
import type { DestinationReport } from '../spool/report.ts'
import type { Rates } from '../transport/rates.ts'
import { formatDuration } from '../util/duration.ts'
import { own } from '../util/own.ts'
import { deliver } from './batch.ts'
import type { Observer } from './observer.ts'
import { placeOf } from './open-places.ts'
import type { Outcome } from './outcome.ts'
import type { Uploader } from './uploader.ts'
import { uploaderFor } from './uploaders.ts'
import { Worker } from './worker.ts'

export interface RouteContext {
  /** Its worker has at most this many jobs at once. */
  capacity: number
  store: StoreSession
  packer: Packer
  rates: Rates
  log: Logger
  observer?: Observer | undefined
  onOutcome(route: Route, claimed: ClaimedJob, outcome: Outcome): void
  /** Called when the outputs of a job that names none were looked up. */
  onOutputs(claimed: ClaimedJob): void
  /** Called when the destination's state changed. */
  onHealth(): void
  /** Called when there may be something to start or to claim. */
  onChange(): void
}

/** A destination, as jobs' records know it; the way to it; and the worker that sends to it. */
export class Route {
  readonly destination: Destination
  readonly place: Place
  readonly worker: Worker
  readonly #uploader: Uploader

  constructor(destination: Destination, context: RouteContext) {
    const { store, observer } = context
    const log = context.log.child({ destination: destination.name })
    const uploader = uploaderFor(destination, { ...context, log })
    const wasThere = () => this.worker.health.hasSucceeded
    const { onOutputs } = context
    const target = { destination, uploader, store, log, wasThere, onOutputs }
    this.destination = destination
    this.place = placeOf(destination)
    this.#uploader = uploader
    this.worker = new Worker({
      limits: destination,
      capacity: context.capacity,
      log,
      send: (jobs, signal, progress) => deliver(jobs, target, signal, progress),
      related: (others, paths, signal) => relatedTo(store, others, paths, signal),
      events: {
        onOutcome: (claimed, outcome) => context.onOutcome(this, claimed, outcome),
        onDown: (error, waitMs) => {
          log.warn({ error, nextAttemptIn: formatDuration(waitMs) }, 'the destination is down')
          context.onHealth()
        },
        onUp: (before) => {
          if (before === 'down') log.info('the destination is back')
          context.onHealth()
        },
        onBatch: (summary) => {
          observer?.onBatch(destination.name, summary.ms)
          log.debug(summary, 'batch through')
        },
        onChange: () => context.onChange(),
      },
    })
  }

  /** True if the job still has to go there. */
  isFor(job: Job): boolean {
    return isPendingAt(job, this.place)
  }

  /**
   * True if its worker takes the job now. While it is laden, it takes no job that failed a short while ago: such a job waits in
   * `new/`.
   */
  takes(job: Job): boolean {
    return this.isFor(job) && this.worker.room > 0 && !(this.worker.isLaden && this.#hasFailedLately(job))
  }

  #hasFailedLately(job: Job): boolean {
    const ageMs = Date.now() - Date.parse(own(job.destinations, this.place.name)?.lastAttemptAt ?? '')
    // In the future, if the clock was set back.
    return ageMs >= 0 && ageMs < this.destination.retryMaxMs
  }

  /** How the destination is, and what is on its way to it. */
  report(): DestinationReport {
    return { to: this.destination.to, ...this.worker.report() }
  }

  /** Goes on from an earlier daemon's report, if that was of this place. */
  remember(before: DestinationReport | undefined): void {
    if (before?.to === this.destination.to) this.worker.health.remember(before.lastSuccessAt)
  }

  /** Lets go of what it keeps open. */
  close(): void {
    this.#uploader.close?.()
  }
}
