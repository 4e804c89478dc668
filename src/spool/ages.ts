import { lstatSync } from 'node:fs'

/** The columns of an age table, each with its upper bound in milliseconds; what is older goes into a last one. */
export const AGE_BOUNDS = [
  ['1m', 60_000],
  ['5m', 5 * 60_000],
  ['15m', 15 * 60_000],
  ['1h', 3_600_000],
  ['6h', 6 * 3_600_000],
  ['1d', 24 * 3_600_000],
  ['7d', 7 * 24 * 3_600_000],
] as const
const COLUMNS = AGE_BOUNDS.length + 1

/** A name as the hook writes it. A hint for a quick look only: the daemon reads nothing into names. */
const TIMED_NAME = /^\d{8}T\d{6}Z-/

/** How many jobs there are, by age. */
export interface Ages {
  jobs: number
  oldest: Date | undefined
  /** How many are in each column of `AGE_BOUNDS`, and in the last one the older ones. */
  columns: number[]
}

/**
 * Sorts jobs by age. The names alone tell the age of jobs that the hook wrote, and are compared as text, so that a
 * hundred thousand take a fraction of a second; only names of another form are asked for their time on disk.
 */
export class AgeCount implements Ages {
  jobs = 0
  readonly columns = Array.from({ length: COLUMNS }, () => 0)
  readonly #now: number
  readonly #bounds: readonly string[]
  readonly #latest: string
  #oldestName: string | undefined
  #oldestMs = Number.POSITIVE_INFINITY

  /** @param now Milliseconds since the epoch. */
  constructor(now: number) {
    this.#now = now
    this.#bounds = AGE_BOUNDS.map(([, ms]) => stampOf(now - ms))
    this.#latest = stampOf(now)
  }

  get oldest(): Date | undefined {
    return Number.isFinite(this.#oldestMs) ? new Date(this.#oldestMs) : undefined
  }

  /**
   * Counts a job.
   * @param path Looked at only where the name doesn't tell.
   * @returns Its column.
   */
  add(name: string, path: () => string): number {
    const column = this.#columnOf(name, path)
    this.jobs++
    this.columns[column] = (this.columns[column] ?? 0) + 1
    return column
  }

  #columnOf(name: string, path: () => string): number {
    if (this.#oldestName !== undefined && name >= this.#oldestName && TIMED_NAME.test(name)) {
      // A name that is no time after all ("99999999T…") is taken for a new one here.
      if (name > this.#latest) return 0
      let column = 0
      for (const bound of this.#bounds) if (name < bound) column++
      return column
    }
    if (timeOf(name) !== undefined) this.#oldestName = name
    const ms = queuedAt(name, path())?.getTime() ?? Number.POSITIVE_INFINITY
    this.#oldestMs = Math.min(this.#oldestMs, ms)
    return AGE_BOUNDS.filter(([, bound]) => this.#now - ms > bound).length
  }
}

/**
 * When a job was handed over: what its name says, or when its file was last written.
 * @param path Looked at only where the name doesn't tell.
 * @returns undefined if the file is gone.
 */
export function queuedAt(name: string, path: string): Date | undefined {
  const time = timeOf(name) ?? lstatSync(path, { throwIfNoEntry: false })?.mtimeMs
  return time === undefined ? undefined : new Date(time)
}

/** A time as names begin with it. */
function stampOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`
}

function timeOf(name: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(name)
  if (!parts) return undefined
  const [, year, month, day, hour, minute, second] = parts
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(time) ? undefined : time
}
