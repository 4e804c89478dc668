import type { ClaimedJob } from '../spool/claim.ts'

/**
 * The state of a job in a worker: it waits for a batch; it failed by its own fault and waits for its next attempt; it is in a
 * batch in flight; or its batch has ended and the outcome is not written yet.
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
  /** How many times a job was queued. */
  arrivals = 0
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
   * @param waitAfter How long, in ms, given the number of delays so far.
   * @param onEnd Called when the delay is over and the job is queued again.
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
    if (entry.state === 'queued') this.arrivals++
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
