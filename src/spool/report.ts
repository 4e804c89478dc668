import { renameSync } from 'node:fs'
import { isObject } from '../config/is-object.ts'
import type { Spool } from './layout.ts'
import { readTextIfThere, writeTemporary } from './write.ts'

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
}

/** What a daemon says of itself, for `status` and for the next one to go on from. Derived: losing it loses nothing. */
export interface Report {
  pid: number
  /** Names the process beyond doubt: a process ID is used again, after a reboot at the latest. */
  identity: string
  /** Names the lock it holds, see `lockIdentity`. */
  lock: string
  startedAt: string
  destinations: Record<string, DestinationReport>
}

/** Replaces the report, atomically. */
export function writeReport(spool: Spool, report: Report): void {
  renameSync(writeTemporary(spool, `${JSON.stringify(report, null, 2)}\n`, false), spool.reportFile)
}

/** The last report, or undefined where there is none that makes sense. */
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
  const { to, state, lastError, nextAttemptAt, failures } = value
  return {
    to: typeof to === 'string' ? to : '',
    state: state === 'ok' || state === 'down' ? state : 'unknown',
    failures: typeof failures === 'number' ? failures : 0,
    ...(typeof lastError === 'string' ? { lastError } : {}),
    ...(typeof nextAttemptAt === 'string' ? { nextAttemptAt } : {}),
  }
}
