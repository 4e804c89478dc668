import { own } from '../util/own.ts'
/** Where one destination stands with one job. */
export type DeliveryState = 'waiting' | 'done' | 'skipped' | 'failed'

/** What is known of one job at one destination; written into the job file. */
export interface DeliveryRecord {
  state: DeliveryState
  /** Failed attempts that are the job's own fault; a destination that is down costs none. */
  attempts: number
  lastAttemptAt?: string
  settledAt?: string
  /** The last error, in full words. */
  error?: string
  /** What the destination's policy left out, and why. */
  note?: string
  /** Where it went: the URL, without its password. By the same name another place is another destination. */
  to?: string
}

/** The result of an earlier round, before the job was requeued. */
export interface HistoryEntry {
  requeuedAt: string
  destinations: Record<string, DeliveryRecord>
}

/** A job as the spool holds it. */
export interface Job {
  drvPath?: string
  outPaths: string[]
  queuedAt?: string
  destinations: Record<string, DeliveryRecord>
  history: HistoryEntry[]
  /** The file's own JSON object: whatever keys we don't know are written back as they came. */
  raw: Readonly<Record<string, unknown>>
}

/** A destination as a job's records know it. */
export interface Place {
  name: string
  /** Its URL, without a password. */
  to: string
}

/** True if a job still has to go to a destination. */
export function isPendingAt({ destinations }: Job, { name, to }: Place): boolean {
  const record = own(destinations, name)
  return record === undefined || record.state === 'waiting' || (record.to ?? to) !== to
}

/**
 * The records that a job lacks for the places that it still waits for. With settled records only, a job in `new/` counts as
 * requeued. A job without records lacks none.
 */
export function missingRecords(job: Job, places: readonly Place[]): [name: string, record: DeliveryRecord][] {
  if (Object.keys(job.destinations).length === 0) return []
  return places
    .filter((place) => isPendingAt(job, place) && own(job.destinations, place.name)?.state !== 'waiting')
    .map(({ name, to }) => [name, { state: 'waiting', attempts: 0, to }])
}

/** The destinations that a job waits for and that are none of these. */
export function strangersOf({ destinations }: Job, known: ReadonlySet<string>): string[] {
  return Object.entries(destinations).flatMap(([name, { state }]) =>
    state === 'waiting' && !known.has(name) ? [name] : [],
  )
}

/** True when nothing is left to do for the job at any destination in it: in `new/` that means requeued. */
export function isSettled(job: Job): boolean {
  const records = Object.values(job.destinations)
  return records.length > 0 && records.every((record) => record.state !== 'waiting')
}

/** True if a job was given up at some destination. */
export function hasFailed({ destinations }: Job): boolean {
  return Object.values(destinations).some(({ state }) => state === 'failed')
}

/**
 * Resets a requeued job: full budgets, and its earlier records moved to its history. If it had failed at some destination,
 * records of delivery elsewhere stay. If it was delivered everywhere, somebody wants all of it delivered again.
 */
export function startAfresh(job: Job, now: Date): Job {
  const entry: HistoryEntry = { requeuedAt: now.toISOString(), destinations: job.destinations }
  const records = Object.entries(job.destinations)
  const kept = hasFailed(job) ? records.filter(([, record]) => record.state !== 'failed') : []
  return { ...job, destinations: Object.fromEntries(kept), history: [...job.history, entry] }
}
