import type { Spool } from '../spool/layout.ts'
import { isPauseFile } from '../spool/pause.ts'
import { entriesOf } from '../spool/read.ts'
import type { Claimer } from './claimer.ts'
import { DirectoryWatcher } from './directory-watcher.ts'
import type { Housekeeping } from './housekeeping.ts'

/** Starting to watch a directory reads it once; a larger `new/` is left to the rescan. */
const WATCHED_MAX = 50_000
/** While nothing can be claimed, watching stops and starts more often, so this limit is lower. */
const WATCHED_MAX_FULL = 5_000

interface WatcherContext {
  spool: Spool
  claimer: Claimer
  housekeeping: Housekeeping
  /** Called when there is something to look at. */
  ring: () => void
}

/** Watches a spool for jobs that come and for somebody who pauses it. */
export class SpoolWatcher {
  readonly #context: WatcherContext
  readonly #jobs: DirectoryWatcher
  readonly #pauses: DirectoryWatcher

  constructor(context: WatcherContext) {
    const { spool, ring } = context
    this.#context = context
    this.#jobs = new DirectoryWatcher(spool.new, ring)
    this.#pauses = new DirectoryWatcher(spool.root, (name) => {
      if (isPauseFile(name)) ring()
    })
  }

  /** Starts watching for pauses; jobs are watched for from `watchJobs` on. */
  async start(): Promise<void> {
    await this.#pauses.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#jobs.stop(), this.#pauses.stop()])
  }

  /** The names of events in `new/` since the last call, or undefined if there were too many to keep. */
  takeNames(): Set<string> | undefined {
    return this.#jobs.takeNames()
  }

  /** Watches for jobs, if `new/` is not too large for that. */
  async watchJobs(isPaused: boolean): Promise<void> {
    const { claimer, housekeeping, ring } = this.#context
    if (this.#jobs.isWatching) return
    // A job that comes unnoticed has no roots until it is claimed, so such jobs are looked for.
    if (!this.#isSmall(isPaused)) return housekeeping.hurry()
    await this.#jobs.start()
    // Jobs that came between the last look and the start.
    if (isPaused) void housekeeping.protectAll()
    else if (!claimer.scan.isThrough) housekeeping.hurry()
    claimer.scan.lookAgain()
    ring()
  }

  /** While a backlog is claimed, events are not needed, and each claim would cause one. */
  async ignoreJobs(): Promise<void> {
    if (this.#context.claimer.scan.left <= WATCHED_MAX) await this.#jobs.stop()
  }

  /** Jobs that come in while nothing is claimed get their GC roots, too. */
  protectHeard(): void {
    const { claimer, housekeeping } = this.#context
    const heard = this.takeNames()
    if (heard) claimer.protect(heard)
    else housekeeping.hurry()
  }

  /** While nothing is claimed (paused, full), arrivals get their roots, and the size of `new/` is unknown. */
  #isSmall(isPaused: boolean): boolean {
    const { spool, claimer } = this.#context
    if (claimer.scan.isThrough) return claimer.scan.left <= WATCHED_MAX
    if (!isPaused && !claimer.isFull) return false
    let entries = 0
    for (const _ of entriesOf(spool.new)) if (++entries > WATCHED_MAX_FULL) return false
    return true
  }
}
