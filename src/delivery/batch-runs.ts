import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ClaimedJob } from '../spool/claim.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { wordsOf } from '../util/user-error.ts'
import { type InFlight, pathsIn } from './in-flight.ts'
import type { JobStates } from './job-states.ts'
import type { Outcome } from './outcome.ts'
import type { Pace } from './pace.ts'
import type { BatchSummary, WorkerContext } from './worker-context.ts'

/** The outcomes of this many jobs take some milliseconds; then the event loop gets its turn. */
const SETTLED_PER_TURN = 25

/** What a worker knows, and a batch changes. */
interface Known {
  jobs: JobStates
  inFlight: InFlight
  pace: Pace
}

/** Runs the batches of a worker: its jobs are in flight, then settling, and after a bug of ours they are queued again. */
export class BatchRuns {
  readonly #context: Pick<WorkerContext, 'send' | 'log' | 'events'>
  readonly #known: Known
  readonly #abort = new AbortController()

  constructor(context: Pick<WorkerContext, 'send' | 'log' | 'events'>, known: Known) {
    this.#context = context
    this.#known = known
  }

  /** Aborted when the batches are to end. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Starts a batch. */
  start(batch: readonly ClaimedJob[]): void {
    const { jobs, inFlight } = this.#known
    const { events } = this.#context
    for (const claimed of batch) jobs.set(claimed, 'in flight')
    void this.#deliver(batch, inFlight.begin(batch))
      .then((summary) => events.onBatch(summary))
      .catch((error: unknown) => this.#recover(batch, error))
      .finally(() => events.onChange())
  }

  /** Ends all batches. */
  abort(): void {
    this.#abort.abort()
  }

  async #deliver(batch: readonly ClaimedJob[], progress: UploadProgress): Promise<BatchSummary> {
    const { inFlight, pace } = this.#known
    const startedAt = performance.now()
    const { outcomes, runs } = await this.#context.send(batch, this.signal, progress)
    const delivered = [...outcomes.values()].filter(({ kind }) => kind === 'delivered').length
    inFlight.end(batch, delivered)
    pace.note(outcomes)
    await this.#settle(outcomes)
    const ms = Math.round(performance.now() - startedAt)
    return { jobs: batch.length, paths: pathsIn(batch), runs, ms }
  }

  /** The outcomes of a batch are noted a few milliseconds at a time, while the next batch goes out. */
  async #settle(outcomes: ReadonlyMap<ClaimedJob, Outcome>): Promise<void> {
    const { events } = this.#context
    for (const claimed of outcomes.keys()) this.#known.jobs.set(claimed, 'settling')
    events.onChange()
    let settled = 0
    for (const [claimed, outcome] of outcomes) {
      if (++settled % SETTLED_PER_TURN === 0) await nextTurn()
      events.onOutcome(claimed, outcome)
    }
  }

  /** A bug of ours while serving a destination counts as that destination's failure, and its jobs stay. */
  #recover(batch: readonly ClaimedJob[], error: unknown): void {
    const { jobs, inFlight, pace } = this.#known
    this.#context.log.error({ err: error }, 'a bug in nix-upload; the destination is tried again')
    inFlight.end(batch, 0)
    for (const claimed of batch) {
      const state = jobs.stateOf(claimed)
      if (state === 'in flight' || state === 'settling') jobs.set(claimed, 'queued')
    }
    pace.noteDown(`a bug in nix-upload: ${wordsOf(error)}`)
  }
}
