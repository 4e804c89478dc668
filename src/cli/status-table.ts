import { AGE_BOUNDS } from '../spool/ages.ts'
import type { Failures } from '../spool/failures.ts'
import { MAKE_IT, STATES } from '../spool/layout.ts'
import type { RunningBatch } from '../spool/report.ts'
import { formatDuration } from '../util/duration.ts'
import { formatSize } from '../util/size.ts'
import { colour, counted, printable, table } from './print.ts'
import type { DestinationStatus, Snapshot } from './snapshot.ts'

const REASONS_SHOWN = 3
const BAR_WIDTH = 20

/** A snapshot as a person reads it: how many jobs are where, who they wait for and how long, and why. */
export function asTable(snapshot: Snapshot): string {
  const { spool, exists, paused, destinations } = snapshot
  const hint = paused ? colour('yellow', '  paused (nix-upload resume goes on)') : ''
  const where = exists ? printable(spool.root) + hint : `no spool yet at ${printable(spool.root)}; ${MAKE_IT}`
  const head = table([
    ['spool', where],
    ['daemon', daemonLine(snapshot)],
  ])
  const parts = [head, states(snapshot), waiting(destinations), table(destinations.map(destinationRow))]
  return [...parts, ...destinations.map(underWay), failed(snapshot)].filter((part) => part !== '').join('\n')
}

function daemonLine({ daemon, report }: Snapshot): string {
  if (daemon === 'running' && report) {
    return `running, process ${report.pid}, for ${formatDuration(Date.now() - Date.parse(report.startedAt))}`
  }
  if (daemon === 'unknown' && report)
    return `unknown: process ${report.pid} of another container or machine wrote last`
  return 'not running; `nix-upload watch` or its service delivers what waits'
}

function states({ states }: Snapshot): string {
  return table(
    STATES.map((state) => {
      const { jobs, oldest } = states[state]
      const age = oldest && state !== 'done' ? `oldest ${formatDuration(Date.now() - oldest.getTime())}` : ''
      const shown = `${jobs}`.padStart(7)
      return [`${state}/`, state === 'failed' && jobs > 0 ? colour('red', shown) : shown, age]
    }),
  )
}

/** Jobs by destination and age, as Postfix's qshape has it: a stuck destination is a row that is full on the right. */
function waiting(destinations: readonly DestinationStatus[]): string {
  const columns = [...AGE_BOUNDS.map(([name]) => `<${name}`), 'older']
  const rows = destinations.map(({ name, waiting }) => {
    const mark = waiting.isEstimate ? '~' : ''
    const cells = waiting.columns.map((jobs) => (jobs === 0 ? '.' : `${jobs}`))
    return [printable(name), `${mark}${waiting.jobs}`, ...cells]
  })
  return alignRight([['waiting for', 'jobs', ...columns], ...rows])
}

/** A table of numbers; the first column is text. */
function alignRight(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(6, ...rows.map((row) => row[at]?.length ?? 0)))
  return table(rows.map((row) => row.map((cell, at) => (at === 0 ? cell : cell.padStart(widths[at] ?? 0)))))
}

function destinationRow({ name, to, isConfigured, paused, waiting, report }: DestinationStatus): string[] {
  if (!isConfigured) {
    const what = `not configured: put it back, or \`nix-upload forget ${printable(name)}\` gives it up`
    return [printable(name), colour('yellow', 'none   '), printable(to), what]
  }
  const { state, lastError, nextAttemptAt, lastSuccessAt, rate } = report
  const style = state === 'ok' ? 'green' : state === 'down' ? 'red' : 'dim'
  const { jobs, error } = waiting.retrying
  const notes = [
    ...(lastError === undefined ? [] : [printable(lastError)]),
    ...(nextAttemptAt === undefined
      ? []
      : [`next attempt in ${formatDuration(Date.parse(nextAttemptAt) - Date.now())}`]),
    ...(lastSuccessAt === undefined ? [] : [`last upload ${ago(lastSuccessAt)}`]),
    ...(rate && rate.bytes > 0 ? [`${formatSize(rate.bytes)}/s`] : []),
    ...(jobs === 0
      ? []
      : [`${counted(jobs, 'job')} failed and will be tried again: ${printable(error ?? '')}`]),
  ]
  const where = printable(to) + (paused ? colour('yellow', '  paused') : '')
  return [printable(name), colour(style, state.padEnd(7)), where, notes.join('; ')]
}

function ago(time: string): string {
  return `${formatDuration(Date.now() - Date.parse(time))} ago`
}

/** The batches that are on their way to a destination, a line each. */
function underWay({ name, report }: DestinationStatus): string {
  return (report.running ?? []).map((batch) => `${printable(name)}  ${batchLine(batch)}\n`).join('')
}

/** How far a batch is, with what can be known of the rest. */
export function batchLine({ jobs, paths, since, sentBytes, expectedBytes }: RunningBatch): string {
  const what = `${counted(jobs, 'job')}, ${counted(paths, 'path')}`
  const ms = Date.now() - Date.parse(since)
  const began = `for ${formatDuration(ms)}`
  if (expectedBytes <= 0) return `${what}, ${began}`
  const part = Math.min(1, sentBytes / expectedBytes)
  const full = Math.floor(part * BAR_WIDTH)
  const bar = `[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}]`
  const percent = `${Math.floor(part * 100)}%`.padStart(4)
  const left = part >= 0.01 && ms >= 2000 ? [`${formatDuration((ms / part) * (1 - part))} left`] : []
  const amount = `${formatSize(sentBytes)} of ${formatSize(expectedBytes)}`
  return [`${bar} ${percent}  ${amount}`, ...left, what, began].join(', ')
}

/** The most frequent reasons why jobs were given up. */
function failed({ failures, states }: Snapshot): string {
  const { reasons, read }: Failures = failures
  if (reasons.length === 0) return ''
  const of = read < states.failed.jobs ? `, of the last ${read}` : ''
  const lines = reasons
    .slice(0, REASONS_SHOWN)
    .map(({ reason, jobs }) => [`${jobs}`.padStart(7), printable(reason)])
  const more = reasons.length > REASONS_SHOWN ? [['', '… `nix-upload list failed` has them all']] : []
  return `failed, by reason${of} (\`nix-upload requeue\` tries again):\n${table([...lines, ...more])}`
}
