import type { Spool } from '../spool/layout.ts'
import { isPauseFile } from '../spool/pause.ts'
import { entriesOf } from '../spool/read.ts'
import type { Claimer } from './claimer.ts'
import { DirectoryWatcher } from './directory-watcher.ts'

/** Starting to watch a directory reads it once; a larger `new/` is left to the rescan. */
const WATCHED_MAX = 50_000
/** While nothing can be claimed, watching stops and starts more often, so this limit is lower. */
const WATCHED_MAX_FULL = 5_000

/** Watches a spool for jobs that come and for somebody who pauses it. */
export class SpoolWatcher {
  readonly #spool: Spool
  readonly #jobs: DirectoryWatcher
  readonly #pauses: DirectoryWatcher

  /** @param onChange Called when there is something to look at. */
  constructor(spool: Spool, onChange: () => void) {
    this.#spool = spool
    this.#jobs = new DirectoryWatcher(spool.new, onChange)
    this.#pauses = new DirectoryWatcher(spool.root, (name) => {
      if (isPauseFile(name)) onChange()
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

  /**
   * Watches for jobs, if `new/` is not too large for that.
   * @returns 'started' if nobody watched before, so that earlier arrivals went unnoticed; 'too large' if only the
   * rescan finds arrivals.
   */
  async watchJobs(claimer: Claimer, isPaused: boolean): Promise<'was watching' | 'started' | 'too large'> {
    if (this.#jobs.isWatching) return 'was watching'
    if (!this.#isSmall(claimer, isPaused)) return 'too large'
    await this.#jobs.start()
    return 'started'
  }

  /** While a backlog is claimed, events are not needed, and each claim would cause one. */
  async ignoreJobs({ scan }: Claimer): Promise<void> {
    if (scan.left <= WATCHED_MAX) await this.#jobs.stop()
  }

  /** While nothing is claimed (paused, full), arrivals get their roots, and the size of `new/` is unknown. */
  #isSmall({ scan, isFull }: Claimer, isPaused: boolean): boolean {
    if (scan.isThrough) return scan.left <= WATCHED_MAX
    if (!isPaused && !isFull) return false
    let entries = 0
    for (const _ of entriesOf(this.#spool.new)) if (++entries > WATCHED_MAX_FULL) return false
    return true
  }
}
