import { isObject } from '../util/is-object.ts'
import type { Spool } from './layout.ts'
import { readTextIfThere } from './read.ts'
import { placeTemporary, writeTemporary } from './write.ts'

/** How a destination is, as the daemon last knew. */
export interface DestinationReport {
  /** Where it is, as configured; `--to` may differ from the configuration that `status` reads. */
  to: string
  state: 'ok' | 'down' | 'unknown'
  lastError?: string
  /** When it is tried again, while it is down. */
  nextAttemptAt?: string
  /** Failed attempts in a row, which the length of the next wait follows from. */
  failures: number
  /** When something last went through. */
  lastSuccessAt?: string
  /** The batches under way. */
  running?: RunningBatch[]
  /** How fast it went lately. */
  rate?: Rate
}

/** A batch under way. */
export interface RunningBatch {
  jobs: number
  /** The store paths that the jobs name; their dependencies go along. */
  paths: number
  since: string
  sentBytes: number
  /** The total to send, as far as it is known; 0 if it is not. */
  expectedBytes: number
}

/** How much went out per second. */
export interface Rate {
  bytes: number
  jobs: number
}

/** A daemon's report about itself, for `status` and for the next daemon to go on from. Derived: losing it loses nothing. */
export interface Report {
  pid: number
  /** Names the process beyond doubt: a process ID is used again, after a reboot at the latest. */
  identity: string
  /** Names the lock it holds, see `lockIdentity`. */
  lock: string
  startedAt: string
  /** The program, and the configuration file that was read, if any. They tell whether the daemon should be restarted. */
  version?: string
  configFile?: string
  /** When the file was last read and fully applied: at the start, or at SIGHUP. */
  configReadAt?: string
  destinations: Record<string, DestinationReport>
}

/** Replaces the report, atomically. */
export function writeReport(spool: Spool, report: Report): void {
  placeTemporary(writeTemporary(spool, `${JSON.stringify(report, null, 2)}\n`, false), spool.reportFile)
}

/** The last report, or undefined if there is none that makes sense. */
export function readReport(spool: Spool): Report | undefined {
  const text = readTextIfThere(spool.reportFile)
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value) || typeof value.pid !== 'number' || !isObject(value.destinations)) return undefined
    return {
      pid: value.pid,
      identity: String(value.identity),
      lock: String(value.lock),
      startedAt: String(value.startedAt),
      ...(typeof value.version === 'string' ? { version: value.version } : {}),
      ...(typeof value.configFile === 'string' ? { configFile: value.configFile } : {}),
      ...(typeof value.configReadAt === 'string' ? { configReadAt: value.configReadAt } : {}),
      destinations: Object.fromEntries(
        Object.entries(value.destinations).map(([name, entry]) => [name, destinationReport(entry)]),
      ),
    }
  } catch {
    return undefined
  }
}

function destinationReport(value: unknown): DestinationReport {
  if (!isObject(value)) return { to: '', state: 'unknown', failures: 0 }
  const { to, state, lastError, nextAttemptAt, failures, lastSuccessAt, running, rate } = value
  return {
    to: typeof to === 'string' ? to : '',
    state: state === 'ok' || state === 'down' ? state : 'unknown',
    failures: numberOf(failures),
    ...(typeof lastError === 'string' ? { lastError } : {}),
    ...(typeof nextAttemptAt === 'string' ? { nextAttemptAt } : {}),
    ...(typeof lastSuccessAt === 'string' ? { lastSuccessAt } : {}),
    ...(Array.isArray(running) ? { running: running.filter(isObject).map(runningBatch) } : {}),
    ...(isObject(rate) ? { rate: { bytes: numberOf(rate.bytes), jobs: numberOf(rate.jobs) } } : {}),
  }
}

function runningBatch(value: Record<string, unknown>): RunningBatch {
  return {
    jobs: numberOf(value.jobs),
    paths: numberOf(value.paths),
    since: String(value.since),
    sentBytes: numberOf(value.sentBytes),
    expectedBytes: numberOf(value.expectedBytes),
  }
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}
