import type { Config, Destination } from '../config/config.ts'
import { withoutPassword } from '../config/store-url.ts'
import type { DeliveryRecord } from '../spool/job.ts'
import { isPendingAt, type Job, missingRecords, type Place, strangersOf } from '../spool/job.ts'

/** A destination as a job's records identify it. */
export function placeOf({ name, to }: Destination): Place {
  return { name, to: withoutPassword(to) }
}

/** The destinations of a configuration that jobs may still have to go to. */
export class OpenPlaces {
  /** Those that are delivered to now. */
  readonly #here: readonly Place[]
  /** Those that `--to` replaces. */
  readonly #others: readonly Place[]
  readonly #names: ReadonlySet<string>

  constructor({ destinations, others }: Pick<Config, 'destinations' | 'others'>) {
    this.#here = destinations.map(placeOf)
    this.#others = others.map(placeOf)
    this.#names = new Set(this.#here.map(({ name }) => name))
  }

  /** Whether a job waits for a destination that is not delivered to now: nobody configured it, or `--to` replaces it. */
  waitsElsewhere(job: Job): boolean {
    if (this.#others.some((other) => isPendingAt(job, other))) return true
    return strangersOf(job, this.#names).length > 0
  }

  /** The records that a job lacks for the destinations that it still waits for. */
  missingRecords(job: Job): [name: string, record: DeliveryRecord][] {
    return missingRecords(job, [...this.#here, ...this.#others])
  }
}
