import type { Config } from '../../config/config.ts'
import { withoutPassword } from '../../config/store-url.ts'
import { AGE_BOUNDS, type Ages } from '../../spool/ages.ts'
import { type Failures, readingFailures } from '../../spool/failures.ts'
import type { Place } from '../../spool/job.ts'
import { type Spool, type State, spoolAt, spoolIfThere } from '../../spool/layout.ts'
import { isPaused } from '../../spool/pause.ts'
import { type DestinationReport, type Report, readReport } from '../../spool/report.ts'
import { surveying, type Waiting } from '../../spool/waiting.ts'
import { own } from '../../util/own.ts'
import { atOnce, type Steps } from '../../util/steps.ts'
import { lifeOf, userOf } from '../identity.ts'
import { type Stale, staleness } from '../stale.ts'
import { ownerProblem } from './owners.ts'

/** What `status` shows: the spool, the daemon and the destinations at one time. */
export interface Snapshot {
  spool: Spool
  /** False if there is no spool yet, and so nothing in it. */
  exists: boolean
  paused: boolean
  /** The daemon's last report, if there is one. */
  report: Report | undefined
  daemon: 'running' | 'not running' | 'unknown'
  /** Set if a running daemon should be restarted. */
  stale?: Stale
  /** Set if directories of the spool belong to the wrong user. */
  owners?: string
  states: Readonly<Record<State, Ages>>
  failures: Failures
  destinations: DestinationStatus[]
}

export interface DestinationStatus {
  name: string
  to: string
  /** False if jobs wait for it but nothing is delivered there. */
  isConfigured: boolean
  paused: boolean
  waiting: Waiting
  /** The daemon's last report about it; with running uploads only while the daemon lives. */
  report: DestinationReport
}

const NOTHING: Ages = { jobs: 0, oldest: undefined, columns: [...AGE_BOUNDS.map(() => 0), 0] }
const NOTHING_WAITS = { ...NOTHING, isEstimate: false, retrying: { jobs: 0 } }

/**
 * Looks at a spool.
 * @throws {UserError} if a part of it is missing.
 */
export function snapshot(config: Config): Snapshot {
  return atOnce(takingSnapshot(config))
}

/** Like `snapshot`, in steps. */
export function* takingSnapshot(config: Config): Steps<Snapshot> {
  const exists = spoolIfThere(config.spool) !== undefined
  const spool = spoolAt(config.spool)
  const report = exists ? readReport(spool) : undefined
  const life = report ? lifeOf(report) : 'dead'
  const daemon = life === 'alive' ? 'running' : life === 'dead' ? 'not running' : 'unknown'
  const stale = daemon === 'running' && report ? staleness(report, config.destinations) : undefined
  const uid = daemon === 'running' && report ? userOf(report.pid) : undefined
  const owners = exists ? ownerProblem(spool, uid) : undefined
  const known = destinationsOf(config, report, daemon === 'running')
  const places = known.map(({ name, to }) => ({ name, to: withoutPassword(to) }))
  const shape = exists ? yield* surveying(spool, places) : undefined
  const failures = exists ? yield* readingFailures(spool) : { reasons: [], read: 0, invalid: 0 }
  const waits = (place: Place) => shape?.waiting.get(place.name) ?? { ...NOTHING_WAITS, place }
  const names = new Set(known.map(({ name }) => name))
  const strangers = [...(shape?.waiting.values() ?? [])].filter(({ place }) => !names.has(place.name))
  return {
    spool,
    exists,
    paused: isPaused(spool),
    report,
    daemon,
    ...(stale ? { stale } : {}),
    ...(owners === undefined ? {} : { owners }),
    states: shape?.states ?? { new: NOTHING, cur: NOTHING, done: NOTHING, failed: NOTHING },
    failures,
    destinations: [
      ...known.map(({ name, to }) => ({
        name,
        to,
        isConfigured: true,
        paused: isPaused(spool, name),
        waiting: waits({ name, to }),
        report: reportOn(name, to, report, daemon !== 'not running'),
      })),
      ...strangers.map((waiting): DestinationStatus => {
        const { name, to } = waiting.place
        return {
          name,
          to,
          isConfigured: false,
          paused: false,
          waiting,
          report: { to, state: 'unknown', failures: 0 },
        }
      }),
    ],
  }
}

/** A running daemon knows best where it delivers to: it may have been started with `--to`. */
function destinationsOf(config: Config, report: Report | undefined, isRunning: boolean) {
  const reported = Object.entries(report?.destinations ?? {}).map(([name, { to }]) => ({ name, to }))
  return isRunning && reported.length > 0 ? reported : config.destinations
}

/** A report about the same name with another URL is about another destination. */
function reportOn(name: string, to: string, report: Report | undefined, mayRun: boolean): DestinationReport {
  const last = own(report?.destinations, name)
  if (last?.to !== to) return { to, state: 'unknown', failures: 0 }
  const { running, rate, ...rest } = last
  return mayRun ? last : rest
}
