import type { Snapshot } from '../daemon/status/snapshot.ts'
import {
  AGE_COLUMNS,
  type BatchView,
  type DestinationView,
  MORE_REASONS,
  type View,
  viewOf,
} from '../daemon/status/view.ts'
import { colour, table } from './print.ts'

const REASONS_SHOWN = 3
const BAR_WIDTH = 20

/** A snapshot for people: the number of jobs by state, what they wait for, how long, and why. */
export function asTable(snapshot: Snapshot, now = Date.now()): string {
  const view = viewOf(snapshot, now)
  const { spool, paused, daemon, destinations } = view
  const head = table([
    ['spool', spool + (paused === undefined ? '' : colour('yellow', `  ${paused}`))],
    ...(view.owners === undefined ? [] : [['', colour('red', view.owners)]]),
    ['daemon', daemon],
    ...(view.stale === undefined ? [] : [['', colour('yellow', view.stale)]]),
  ])
  const parts = [head, states(view), waiting(destinations), table(destinations.map(destinationRow))]
  return [...parts, ...destinations.map(underWay), failed(view)].filter((part) => part !== '').join('\n')
}

function states({ states }: View): string {
  return table(
    states.map(({ state, jobs, age }) => {
      const shown = `${jobs}`.padStart(7)
      return [`${state}/`, state === 'failed' && jobs > 0 ? colour('red', shown) : shown, age]
    }),
  )
}

/** Jobs by destination and age, like Postfix's qshape: if a destination is stuck, its row is full on the right. */
function waiting(destinations: readonly DestinationView[]): string {
  const rows = destinations.map(({ name, jobs, ages }) => {
    return [name, jobs, ...ages.map((jobs) => (jobs === 0 ? '.' : `${jobs}`))]
  })
  return alignRight([['waiting for', 'jobs', ...AGE_COLUMNS], ...rows])
}

/** A table of numbers; the first column is text. */
function alignRight(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(6, ...rows.map((row) => row[at]?.length ?? 0)))
  return table(rows.map((row) => row.map((cell, at) => (at === 0 ? cell : cell.padStart(widths[at] ?? 0)))))
}

const STYLES = { ok: 'green', down: 'red', unknown: 'dim', none: 'yellow' } as const

function destinationRow({ name, to, state, paused, notes }: DestinationView): string[] {
  const where = to + (paused ? colour('yellow', '  paused') : '')
  return [name, colour(STYLES[state], state.padEnd(7)), where, notes.join('; ')]
}

/** The batches that are being uploaded to a destination, one per line. */
function underWay({ name, batches }: DestinationView): string {
  return batches.map((batch) => `${name}  ${batchLine(batch)}\n`).join('')
}

/** How far a batch is, and how long it may still take, if known. */
export function batchLine({ progress, notes }: BatchView): string {
  if (!progress) return notes.join(', ')
  const full = Math.floor(progress.part * BAR_WIDTH)
  const bar = `[${'#'.repeat(full)}${'.'.repeat(BAR_WIDTH - full)}]`
  return [`${bar} ${progress.percent.padStart(4)}  ${progress.amount}`, ...notes].join(', ')
}

/** The most frequent reasons why jobs were given up. */
function failed({ failed }: View): string {
  if (!failed) return ''
  const { title, reasons } = failed
  const lines = reasons.slice(0, REASONS_SHOWN).map(({ reason, jobs }) => [`${jobs}`.padStart(7), reason])
  const more = reasons.length > REASONS_SHOWN ? [['', MORE_REASONS]] : []
  return `${title}:\n${table([...lines, ...more])}`
}
