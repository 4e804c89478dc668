import { withoutPassword } from '../../config/store-url.ts'
import { AGE_BOUNDS, type Ages } from '../../spool/ages.ts'
import { MAKE_IT, STATES, type State } from '../../spool/layout.ts'
import type { RunningBatch } from '../../spool/report.ts'
import { counted } from '../../util/counted.ts'
import { formatDuration } from '../../util/duration.ts'
import { printable } from '../../util/printable.ts'
import { formatSize } from '../../util/size.ts'
import { staleSentence } from '../stale.ts'
import type { DestinationStatus, Snapshot } from './snapshot.ts'

/**
 * The words and figures of a snapshot, as a terminal and a page show them. Nothing in them is obeyed by a terminal, and
 * no password of a URL is left; HTML they are not.
 */
export interface View {
  spool: string
  /** What to do about a pause of everything, while there is one. */
  paused?: string
  /** Whose the spool's directories wrongly are, and what to do. */
  owners?: string
  daemon: string
  /** Why the daemon should be restarted, and how, where it should. */
  stale?: string
  states: readonly { state: State; jobs: number; age: string }[]
  destinations: readonly DestinationView[]
  /** Missing where no job was given up. */
  failed?: { title: string; reasons: readonly { jobs: number; reason: string }[] }
}

export interface DestinationView {
  name: string
  to: string
  /** `none` if jobs wait for it, and nothing is delivered there. */
  state: 'ok' | 'down' | 'unknown' | 'none'
  paused: boolean
  /** How many jobs wait for it: `12`, or `~12` where that is an estimate. */
  jobs: string
  /** Since when: `oldest 2h 5m`; empty if none waits. */
  age: string
  /** How many of them are of each age in `AGE_COLUMNS`. */
  ages: readonly number[]
  notes: readonly string[]
  batches: readonly BatchView[]
}

/** A batch that is being uploaded. */
export interface BatchView {
  /** How far it is, where that is known. */
  progress?: { part: number; percent: string; amount: string }
  notes: readonly string[]
}

/** What the columns of an age table are called. */
export const AGE_COLUMNS: readonly string[] = [...AGE_BOUNDS.map(([name]) => `<${name}`), 'older']

/** What stands below the reasons that are shown, where there are more. */
export const MORE_REASONS = '… `nix-upload list failed` has them all'

/** @param now The time that ages are counted to, in milliseconds since the epoch. */
export function viewOf(snapshot: Snapshot, now = Date.now()): View {
  const { spool, exists, paused, states, destinations } = snapshot
  const failed = failedOf(snapshot)
  return {
    spool: exists ? printable(spool.root) : `no spool yet at ${printable(spool.root)}; ${MAKE_IT}`,
    ...(paused ? { paused: 'paused (nix-upload resume goes on)' } : {}),
    ...(snapshot.owners === undefined ? {} : { owners: printable(snapshot.owners) }),
    daemon: daemonOf(snapshot, now),
    ...(snapshot.stale ? { stale: printable(staleSentence(snapshot.stale)) } : {}),
    states: STATES.map((state) => {
      return { state, jobs: states[state].jobs, age: state === 'done' ? '' : ageOf(states[state], now) }
    }),
    destinations: destinations.map((destination) => destinationOf(destination, now)),
    ...(failed ? { failed } : {}),
  }
}

function daemonOf({ daemon, report }: Snapshot, now: number): string {
  if (daemon === 'running' && report) {
    return `running, process ${report.pid}, for ${formatDuration(now - Date.parse(report.startedAt))}`
  }
  if (daemon === 'unknown' && report)
    return `unknown: process ${report.pid} of another container or machine wrote last`
  return 'not running; `nix-upload watch` or its service delivers what waits'
}

function ageOf({ oldest }: Ages, now: number): string {
  return oldest ? `oldest ${formatDuration(now - oldest.getTime())}` : ''
}

function destinationOf(destination: DestinationStatus, now: number): DestinationView {
  const { name, to, isConfigured, paused, waiting, report } = destination
  const remedy = `not configured: put it back, or \`nix-upload forget ${printable(name)}\` gives it up`
  return {
    name: printable(name),
    to: shown(to),
    state: isConfigured ? report.state : 'none',
    paused,
    jobs: `${waiting.isEstimate ? '~' : ''}${waiting.jobs}`,
    age: ageOf(waiting, now),
    ages: waiting.columns,
    notes: isConfigured ? notesOn(destination, now) : [remedy],
    batches: (report.running ?? []).map((batch) => batchOf(batch, now)),
  }
}

function notesOn({ waiting, report }: DestinationStatus, now: number): string[] {
  const { lastError, nextAttemptAt, lastSuccessAt, rate } = report
  const { jobs, error } = waiting.retrying
  return [
    ...(lastError === undefined ? [] : [shown(lastError)]),
    ...(nextAttemptAt === undefined
      ? []
      : [`next attempt in ${formatDuration(Date.parse(nextAttemptAt) - now)}`]),
    ...(lastSuccessAt === undefined
      ? []
      : [`last upload ${formatDuration(now - Date.parse(lastSuccessAt))} ago`]),
    ...(rate && rate.bytes > 0 ? [`${formatSize(rate.bytes)}/s`] : []),
    ...(jobs === 0 ? [] : [`${counted(jobs, 'job')} failed and will be tried again: ${shown(error ?? '')}`]),
  ]
}

/** How far a batch is, with what can be known of the rest. */
function batchOf({ jobs, paths, since, sentBytes, expectedBytes }: RunningBatch, now: number): BatchView {
  const ms = now - Date.parse(since)
  const what = [counted(jobs, 'job'), counted(paths, 'path'), `for ${formatDuration(ms)}`]
  if (expectedBytes <= 0) return { notes: what }
  const part = Math.max(0, Math.min(1, sentBytes / expectedBytes))
  const left = part >= 0.01 && ms >= 2000 ? [`${formatDuration((ms / part) * (1 - part))} left`] : []
  const amount = `${formatSize(sentBytes)} of ${formatSize(expectedBytes)}`
  return { progress: { part, percent: `${Math.floor(part * 100)}%`, amount }, notes: [...left, ...what] }
}

const REQUEUE = '`nix-upload requeue` tries again'

/** Why jobs were given up, the most frequent reason first. */
function failedOf({ failures: { reasons, read, invalid }, states }: Snapshot): View['failed'] {
  if (reasons.length === 0) return undefined
  const of = read < states.failed.jobs ? `, of the last ${read}` : ''
  const mend = 'mend what is no valid job and move it to new/, or delete it'
  const remedies = [...(invalid < read ? [REQUEUE] : []), ...(invalid > 0 ? [mend] : [])]
  return {
    title: `failed, by reason${of} (${remedies.join('; ')})`,
    reasons: reasons.map(({ reason, jobs }) => ({ jobs, reason: shown(reason) })),
  }
}

function shown(text: string): string {
  return printable(withoutPassword(text))
}
