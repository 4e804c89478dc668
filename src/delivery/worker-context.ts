import type { Logger } from 'pino'
import type { Destination } from '../config/config.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import type { Outcome } from './outcome.ts'
import type { Related } from './parallel-choice.ts'

/** What a worker reports to its caller. */
export interface WorkerEvents {
  /** The receiver then calls `delay`, `add` or `remove` for the job. */
  onOutcome(claimed: ClaimedJob, outcome: Outcome): void
  /** The destination failed (again); it is left alone for `waitMs`. */
  onDown(error: string, waitMs: number): void
  /** Something went through, for the first time or for the first time after the destination had been down. */
  onUp(before: 'down' | 'unknown'): void
  onBatch(summary: BatchSummary): void
  /** A batch is through, or a wait is over: there may be something to start or to claim. */
  onChange(): void
}

/** What a finished batch was like, for the log. */
export interface BatchSummary {
  jobs: number
  paths: number
  /** How many times something was sent. */
  runs: number
  ms: number
}

/** What a worker needs from its caller. */
export interface WorkerContext {
  limits: Pick<Destination, 'batchSize' | 'concurrency' | 'retryMinMs' | 'retryMaxMs'>
  /** It has at most this many jobs at once. */
  capacity: number
  log: Logger
  /** Delivers a batch; an outcome for each job. */
  send(
    jobs: readonly ClaimedJob[],
    signal: AbortSignal,
    progress: UploadProgress,
  ): Promise<{ outcomes: ReadonlyMap<ClaimedJob, Outcome>; runs: number }>
  /** Asked before a batch goes out beside others. */
  related: Related
  events: WorkerEvents
}
