import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { GcRoots } from '../nix/gc-roots.ts'
import { type ClaimedJob, rootedPaths } from '../spool/claim.ts'
import type { DeliveryRecord } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import {
  type DoneJob,
  record,
  release,
  releaseDone,
  settleDone,
  settleFailed,
  syncDone,
} from '../spool/settle.ts'
import { wordsOf } from '../util/user-error.ts'

/** After this many jobs the event loop gets its turn. */
const RELEASED_PER_TURN = 50

interface SettlementContext {
  spool: Spool
  roots: GcRoots
  log: Logger
}

/** Writes what becomes of the claimed jobs into the spool; every failure to write ends here, in the log. */
export class Settlement {
  /** How many jobs ended in which way since the start. */
  readonly tally = { done: 0, failed: 0 }
  readonly #context: SettlementContext
  /** Jobs that know more than their file does. */
  readonly #unrecorded = new Set<ClaimedJob>()
  /** Jobs in `done/` that still have their GC roots. */
  #done: DoneJob[] = []
  #releasing: Promise<void> | undefined

  constructor(context: SettlementContext) {
    this.#context = context
  }

  /** Changes a job's record of one destination, in memory. */
  update(claimed: ClaimedJob, destination: string, delivery: DeliveryRecord): void {
    claimed.job = { ...claimed.job, destinations: { ...claimed.job.destinations, [destination]: delivery } }
    this.#unrecorded.add(claimed)
  }

  /** Writes a job's records into its file, where it lies in `cur/`. */
  record(claimed: ClaimedJob): void {
    if (!this.#unrecorded.has(claimed)) return
    const { spool, roots } = this.#context
    // What could not be written is written with the next outcome.
    const isWritten = this.#write(claimed, () => {
      // Somebody has moved the job away: that is said when it is settled.
      if (!record(spool, claimed)) return false
      // Outputs that were looked up meanwhile are to be kept from now on.
      roots.hold(claimed.name, rootedPaths(claimed.job))
      return true
    })
    if (isWritten) this.#unrecorded.delete(claimed)
  }

  /** Moves a job to `done/` or `failed/`, as its records say. */
  settle(claimed: ClaimedJob): void {
    const { spool, log } = this.#context
    this.#unrecorded.delete(claimed)
    const hasFailed = Object.values(claimed.job.destinations).some(({ state }) => state === 'failed')
    const target = this.#write(claimed, () =>
      hasFailed ? settleFailed(spool, claimed) : settleDone(spool, claimed),
    )
    if (target === undefined)
      log.info({ job: claimed.name }, 'somebody moved the job away, so it is left where it is')
    else if (target !== false) {
      this.tally[hasFailed ? 'failed' : 'done']++
      if (!hasFailed) this.#letGoOf({ claimed, target })
    }
  }

  /** Waits until all that is done is so for good, and has lost its GC roots. */
  async finish(): Promise<void> {
    while (this.#releasing) await this.#releasing
  }

  /** A job's roots go only once a power cut can't bring it back: all jobs of a batch together. */
  #letGoOf(done: DoneJob): void {
    this.#done.push(done)
    this.#releasing ??= this.#releaseAll().finally(() => {
      this.#releasing = undefined
    })
  }

  async #releaseAll(): Promise<void> {
    const { spool, roots, log } = this.#context
    while (this.#done.length > 0) {
      await nextTurn()
      const jobs = this.#done
      this.#done = []
      try {
        await syncDone(spool)
        for (const [at, job] of jobs.entries()) {
          if (at % RELEASED_PER_TURN === 0) await nextTurn()
          releaseDone(spool, roots, job)
        }
      } catch (error) {
        const message =
          'the GC roots of jobs that are done stay until the next sweep, since the spool could not be synced'
        log.warn({ jobs: jobs.length, error: wordsOf(error) }, message)
      }
    }
  }

  /** Gives a job back to `new/`, with all that is known of it. */
  release(claimed: ClaimedJob): void {
    this.record(claimed)
    this.#write(claimed, () => release(this.#context.spool, claimed.name))
  }

  /**
   * Where the disk won't have it (full, broken), the job stays where it is, in `cur/`, nobody's, and the next rescan
   * returns it to `new/`.
   */
  #write<T>(claimed: ClaimedJob, act: () => T): T | false {
    try {
      return act()
    } catch (error) {
      const message = 'the spool could not be written; the job stays in cur/ and is taken up again'
      this.#context.log.error({ job: claimed.name, error: wordsOf(error) }, message)
      return false
    }
  }
}
