import type { ClaimedJob } from '../spool/claim.ts'

/**
 * Where a job is on its way through a worker: it waits for a batch; failed by itself and waits for its next attempt; is in a
 * batch in flight; or is through with one, and the outcome is still to be written.
 */
export type JobState = 'queued' | 'delayed' | 'in flight' | 'settling'

interface Entry {
  state: JobState
  /** How often it was put aside. */
  delays: number
  /** While it is delayed. */
  timer?: NodeJS.Timeout
}

/** The jobs that a worker has, each in one state; in the order in which they came to it. */
export class JobStates {
  readonly #entries = new Map<ClaimedJob, Entry>()
  readonly #counts: Record<JobState, number> = { queued: 0, delayed: 0, 'in flight': 0, settling: 0 }

  get size(): number {
    return this.#entries.size
  }

  stateOf(claimed: ClaimedJob): JobState | undefined {
    return this.#entries.get(claimed)?.state
  }

  count(state: JobState): number {
    return this.#counts[state]
  }

  in(state: JobState): ClaimedJob[] {
    return [...this.#entries].flatMap(([claimed, entry]) => (entry.state === state ? [claimed] : []))
  }

  set(claimed: ClaimedJob, state: JobState): void {
    const delays = this.#take(claimed)?.delays ?? 0
    this.#add(claimed, { state, delays })
  }

  /**
   * Delays a job.
   * @param waitAfter How long, in ms, given how often that was so by now.
   * @param onEnd Called when that is over; the job is queued again then.
   */
  delay(claimed: ClaimedJob, waitAfter: (delays: number) => number, onEnd: () => void): void {
    const delays = (this.#take(claimed)?.delays ?? 0) + 1
    const timer = setTimeout(() => {
      this.set(claimed, 'queued')
      onEnd()
    }, waitAfter(delays))
    this.#add(claimed, { state: 'delayed', delays, timer })
  }

  remove(claimed: ClaimedJob): void {
    this.#take(claimed)
  }

  #add(claimed: ClaimedJob, entry: Entry): void {
    this.#entries.set(claimed, entry)
    this.#counts[entry.state]++
  }

  #take(claimed: ClaimedJob): Entry | undefined {
    const entry = this.#entries.get(claimed)
    if (!entry) return undefined
    clearTimeout(entry.timer)
    this.#entries.delete(claimed)
    this.#counts[entry.state]--
    return entry
  }
}
