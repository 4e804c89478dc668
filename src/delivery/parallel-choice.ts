import type { ClaimedJob } from '../spool/claim.ts'
import type { InFlight } from './in-flight.ts'
import type { JobStates } from './job-states.ts'

/** Those of `paths` that depend on one of `others`, or that one of `others` depends on. */
export type Related = (
  others: readonly string[],
  paths: readonly string[],
  signal: AbortSignal,
) => Promise<ReadonlySet<string>>

/**
 * Chooses the jobs that may go out beside the batches in flight. Paths that depend on a path in flight, or that a path in flight
 * depends on, stay behind: they would be uploaded twice.
 */
export class ParallelChoice {
  readonly #related: Related
  readonly #jobs: JobStates
  readonly #inFlight: InFlight
  /** Nix is being asked. */
  isChoosing = false
  /** What Nix was asked about when it said that all queued jobs are related to those in flight. */
  #heldUpAt: Moment | undefined

  constructor(related: Related, jobs: JobStates, inFlight: InFlight) {
    this.#related = related
    this.#jobs = jobs
    this.#inFlight = inFlight
  }

  /** True while all of the queued jobs are related to those in flight: no batch has ended and no job has come since Nix said so. */
  get isHeldUp(): boolean {
    const { arrivals, ended } = this.#now()
    return this.#heldUpAt?.arrivals === arrivals && this.#heldUpAt.ended === ended
  }

  /** @returns Queued jobs that are related to no job in flight. */
  async choose(signal: AbortSignal): Promise<ClaimedJob[]> {
    this.isChoosing = true
    const asked = new Set(this.#jobs.in('queued'))
    const now = this.#now()
    // If Nix can't tell (a path was collected meanwhile), everything stays behind.
    const held = await this.#related(pathsOf(this.#jobs.in('in flight')), pathsOf(asked), signal).catch(
      () => undefined,
    )
    this.isChoosing = false
    // Another batch went out meanwhile, and nothing was compared with it.
    if (this.#inFlight.begun > now.begun) return []
    const isFree = (claimed: ClaimedJob) =>
      held !== undefined && asked.has(claimed) && !claimed.job.outPaths.some((path) => held.has(path))
    const free = this.#jobs.in('queued').filter(isFree)
    this.#heldUpAt = free.length === 0 ? now : undefined
    return free
  }

  #now(): Moment {
    const { begun, ended } = this.#inFlight
    return { arrivals: this.#jobs.arrivals, begun, ended }
  }
}

/** How many jobs had come, and how many batches had begun and ended. */
interface Moment {
  arrivals: number
  begun: number
  ended: number
}

function pathsOf(jobs: Iterable<ClaimedJob>): string[] {
  return [...jobs].flatMap(({ job }) => job.outPaths)
}
