// Watches jobs travel through the spool, as any program may: by what the kernel tells of its directories.

import { type FSWatcher, watch } from 'node:fs'
import { join } from 'node:path'

const STATES = ['new', 'cur', 'done', 'failed'] as const
export type State = (typeof STATES)[number]

/** A job that has just come into a directory. */
export interface Arrival {
  job: string
  state: State
  /** When, in milliseconds since the watching began. */
  atMs: number
}

export class Journey {
  readonly #startedAt = performance.now()
  readonly #states = new Map<string, State>()
  readonly #watchers: FSWatcher[]
  readonly #onArrival: (arrival: Arrival) => void

  /** @param onArrival Called for each rename, in their order. */
  constructor(spool: string, onArrival: (arrival: Arrival) => void) {
    this.#onArrival = onArrival
    this.#watchers = STATES.map((state) =>
      watch(join(spool, state), (_event, name) => name !== null && this.#hear(state, name)),
    )
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt
  }

  /** How many jobs are in these states. */
  count(...states: readonly State[]): number {
    return [...this.#states.values()].filter((state) => states.includes(state)).length
  }

  end(): void {
    for (const watcher of this.#watchers) watcher.close()
  }

  /**
   * A rename is heard in the directory that is left and in the one that is entered, in this order. So a job that is
   * heard of where it is known to be is leaving, or is rewritten there; anywhere else, it has just arrived.
   */
  #hear(state: State, name: string): void {
    if (this.#states.get(name) === state || name.endsWith('.reason')) return
    this.#states.set(name, state)
    this.#onArrival({ job: name, state, atMs: this.elapsedMs })
  }
}
