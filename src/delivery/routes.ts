import { Packer } from '../cache/nar/packer.ts'
import type { Config } from '../config/config.ts'
import { StoreSession } from '../nix/store-session.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Job } from '../spool/job.ts'
import { Rates } from '../transport/rates.ts'
import { Route, type RouteContext } from './route.ts'
import type { Worker } from './worker.ts'

/** The routes to all destinations, and what they share: the threads that pack, the rate limits, the session with the local store. */
export class Routes {
  readonly all: readonly Route[]
  readonly #store = new StoreSession()
  readonly #packer: Packer
  readonly #rates = new Rates()

  /** @param capacity How many jobs the workers may have in all. */
  constructor(
    config: Config,
    capacity: number,
    context: Omit<RouteContext, 'capacity' | 'store' | 'packer' | 'rates'>,
  ) {
    const { destinations, packJobs } = config
    this.#packer = new Packer(packJobs)
    const shared = { ...context, store: this.#store, packer: this.#packer, rates: this.#rates }
    // Each destination has its own share of places: if one is slow or stands still, the others keep theirs.
    const share = Math.max(1, Math.floor(capacity / destinations.length))
    this.all = destinations.map((destination) => new Route(destination, { ...shared, capacity: share }))
    this.#rates.set(config)
  }

  get workers(): Worker[] {
    return this.all.map(({ worker }) => worker)
  }

  /** Workers that can take more jobs. */
  get workersWithRoom(): Worker[] {
    return this.workers.filter((worker) => worker.room > 0)
  }

  get isRunning(): boolean {
    return this.workers.some((worker) => worker.isRunning)
  }

  /** False while some destination is down or paused. */
  get areAllUp(): boolean {
    return this.workers.every(({ health, isPaused }) => !health.isDown && !isPaused)
  }

  /** True if a job still has to go to one of the destinations. */
  isPending(job: Job): boolean {
    return this.all.some((route) => route.isFor(job))
  }

  /** The workers that take a job now, of those destinations. */
  takersOf(job: Job): Worker[] {
    return this.all.flatMap((route) => (route.takes(job) ? [route.worker] : []))
  }

  /** The workers that have a job. */
  holdersOf(claimed: ClaimedJob): Worker[] {
    return this.workers.filter((worker) => worker.has(claimed))
  }

  /** @param isPaused Whether a destination is paused, given its name. */
  pause(isPaused: (name: string) => boolean): void {
    for (const { destination, worker } of this.all) worker.isPaused = isPaused(destination.name)
  }

  /** Applies the limits of another configuration, and nothing else of it. */
  setRates(config: Config): void {
    this.#rates.set(config)
  }

  /** Starts Nix for the questions at the beginning of a batch, while its jobs are still being claimed. */
  getReady(): void {
    this.#store.open()
  }

  /** Ends what is in flight now, and starts nothing more. */
  abort(): void {
    for (const worker of this.workers) worker.abort()
  }

  /** Lets go of connections, of Nix and of the threads. */
  close(): void {
    for (const route of this.all) route.close()
    this.#store.close()
    this.#packer.close()
  }
}
