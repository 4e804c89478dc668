import type { ClaimedJob } from '../spool/claim.ts'
import type { Rate, RunningBatch } from '../spool/report.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { Throughput } from './throughput.ts'

/** The batches that are in flight to one destination, since when, and how far they are. */
export class InFlight {
  readonly #batches = new Map<readonly ClaimedJob[], { since: string; progress: UploadProgress }>()
  /** What went out in the batches that are through. */
  #sent: Rate = { bytes: 0, jobs: 0 }
  readonly #throughput = new Throughput()
  /** How many batches were begun since the start. */
  begun = 0

  /** How many of them are through. */
  get ended(): number {
    return this.begun - this.size
  }

  /** How many batches are in flight. */
  get size(): number {
    return this.#batches.size
  }

  has(jobs: readonly ClaimedJob[]): boolean {
    return this.#batches.has(jobs)
  }

  /** How many bytes and jobs went out since the start. */
  get sent(): Rate {
    const running = [...this.#batches.values()].reduce((sum, { progress }) => sum + progress.sentBytes, 0)
    return { ...this.#sent, bytes: this.#sent.bytes + running }
  }

  /** @returns The batch's progress, for its sender to keep up to date. */
  begin(jobs: readonly ClaimedJob[]): UploadProgress {
    this.begun++
    const progress = { sentBytes: 0, expectedBytes: 0 }
    this.#batches.set(jobs, { since: new Date().toISOString(), progress })
    return progress
  }

  /** @param delivered How many of its jobs went through. */
  end(jobs: readonly ClaimedJob[], delivered: number): void {
    const bytes = this.#batches.get(jobs)?.progress.sentBytes ?? 0
    this.#sent = { bytes: this.#sent.bytes + bytes, jobs: this.#sent.jobs + delivered }
    this.#batches.delete(jobs)
  }

  report(): { running?: RunningBatch[]; rate?: Rate } {
    const rate = this.#throughput.look(this.sent)
    if (this.size === 0) return {}
    const running = [...this.#batches].map(([jobs, { since, progress }]) => ({
      jobs: jobs.length,
      paths: pathsIn(jobs),
      since,
      ...progress,
    }))
    return { running, rate }
  }
}

/** How many store paths jobs name. */
export function pathsIn(jobs: readonly ClaimedJob[]): number {
  return jobs.reduce((sum, { job }) => sum + job.outPaths.length, 0)
}
