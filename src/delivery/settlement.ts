import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { GcRoots } from '../nix/gc-roots.ts'
import { type ClaimedJob, rootedPaths } from '../spool/claim.ts'
import { type DeliveryRecord, hasFailed } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import {
  type DoneJob,
  record,
  release,
  releaseDone,
  settleDone,
  settleFailed,
  syncDone,
  type WrittenRecord,
  writeRecords,
} from '../spool/settle.ts'
import { codeOf, wordsOf } from '../util/user-error.ts'

/** At most this many jobs are made durable together. */
const SETTLED_AT_ONCE = 100
/** After this many jobs, a few milliseconds, the event loop gets its turn. */
const PER_TURN = 25

interface SettlementContext {
  spool: Spool
  roots: GcRoots
  log: Logger
  /** Called when jobs are settled: there may be room for more. */
  onChange: () => void
}

/** Writes the results of claimed jobs into the spool; every failure to write, and every bug, ends here, in the log. */
export class Settlement {
  /** How many jobs had each result since the start. */
  readonly tally = { done: 0, failed: 0 }
  readonly #context: SettlementContext
  /** Jobs whose file lacks their newest records. */
  readonly #unrecorded = new Set<ClaimedJob>()
  /** Jobs to be moved to `done/` or `failed/`. */
  readonly #settling = new Map<ClaimedJob, () => void>()
  #running: Promise<void> | undefined

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
    // If it could not be written, it is written with the next outcome.
    // If somebody has moved the job away, that is reported when it is settled.
    if (this.#write(claimed, () => record(this.#context.spool, claimed))) this.#unrecorded.delete(claimed)
  }

  /**
   * Makes the GC roots of outputs that were looked up.
   * @returns The paths that had none.
   */
  protect(claimed: ClaimedJob): string[] {
    const { roots, log } = this.#context
    try {
      return roots.hold(claimed.name, rootedPaths(claimed.job))
    } catch (error) {
      const message = 'no GC roots: its paths may be collected before the upload'
      log.warn({ job: claimed.name, error: wordsOf(error) }, message)
      return []
    }
  }

  /** True while a job is on its way to `done/` or `failed/`. */
  has(claimed: ClaimedJob): boolean {
    return this.#settling.has(claimed)
  }

  /** How many jobs are. */
  get size(): number {
    return this.#settling.size
  }

  /**
   * Moves a job to `done/` or `failed/`, as its records say, soon and together with others.
   * @param onSettled Called when it is not claimed any more.
   */
  settle(claimed: ClaimedJob, onSettled: () => void = () => undefined): void {
    this.#unrecorded.delete(claimed)
    this.#settling.set(claimed, onSettled)
    this.#running ??= this.#settleAll()
  }

  /** Waits until all done jobs are durable and their GC roots are removed. */
  async finish(): Promise<void> {
    while (this.#running) await this.#running
  }

  async #settleAll(): Promise<void> {
    try {
      while (this.#settling.size > 0) await this.#settleSome()
    } finally {
      // At once, and not by way of the promise: a job that came in between would wait for the next one.
      this.#running = undefined
    }
  }

  async #settleSome(): Promise<void> {
    await nextTurn()
    const jobs = [...this.#settling.keys()].slice(0, SETTLED_AT_ONCE)
    await this.#settleDone(jobs.filter(({ job }) => !hasFailed(job)))
    for (const claimed of jobs.filter(({ job }) => hasFailed(job))) this.#settleFailed(claimed)
    this.#context.onChange()
  }

  /** A job's roots are removed only when a power cut can't bring it back: all jobs of a group together. */
  async #settleDone(jobs: readonly ClaimedJob[]): Promise<void> {
    if (jobs.length === 0) return
    const { spool, log } = this.#context
    const records = await writeRecords(spool, jobs).catch((error: unknown) => {
      log.error({ err: error }, 'a bug in nix-upload; the records of these jobs are written one by one')
      return new Map<ClaimedJob, WrittenRecord>()
    })
    const done: DoneJob[] = []
    for (const [at, claimed] of jobs.entries()) {
      if (at % PER_TURN === 0) await nextTurn()
      const target = this.#settleOne(claimed, () => settleDone(spool, claimed, records.get(claimed)))
      if (target === undefined) continue
      this.tally.done++
      done.push({ claimed, target })
    }
    await this.#letGoOf(done)
  }

  #settleFailed(claimed: ClaimedJob): void {
    const target = this.#settleOne(claimed, () => settleFailed(this.#context.spool, claimed))
    if (target !== undefined) this.tally.failed++
  }

  /** @returns Its name in the new directory. */
  #settleOne(claimed: ClaimedJob, move: () => string | undefined): string | undefined {
    const onSettled = this.#settling.get(claimed)
    const target = this.#write(claimed, move)
    if (target === undefined)
      this.#context.log.info({ job: claimed.name }, 'somebody moved the job away, so it is left where it is')
    this.#settling.delete(claimed)
    onSettled?.()
    return target === false ? undefined : target
  }

  async #letGoOf(jobs: readonly DoneJob[]): Promise<void> {
    const { spool, roots, log } = this.#context
    if (jobs.length === 0) return
    try {
      await syncDone(spool)
      for (const [at, job] of jobs.entries()) {
        if (at % PER_TURN === 0) await nextTurn()
        releaseDone(spool, roots, job)
      }
    } catch (error) {
      const message =
        'the GC roots of jobs that are done stay until the next sweep, since done/ could not be synced'
      log.warn({ jobs: jobs.length, error: wordsOf(error) }, message)
    }
  }

  /** Returns a job to `new/`, with all its records. */
  release(claimed: ClaimedJob): void {
    this.record(claimed)
    this.#write(claimed, () => release(this.#context.spool, claimed.name))
    this.#unrecorded.delete(claimed)
  }

  /**
   * If the disk fails (full, broken), or we have a bug, the job stays in `cur/`, nobody claims it, and the next rescan
   * returns it to `new/`.
   */
  #write<T>(claimed: ClaimedJob, act: () => T): T | false {
    try {
      return act()
    } catch (error) {
      const isBug = codeOf(error) === undefined
      const what = isBug ? 'a bug in nix-upload' : 'the spool could not be written'
      const shown = isBug ? { err: error } : { error: wordsOf(error) }
      const { name: job } = claimed
      this.#context.log.error({ job, ...shown }, `${what}; the job stays in cur/ and is taken up again`)
      return false
    }
  }
}
