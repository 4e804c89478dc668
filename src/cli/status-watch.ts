import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config/config.ts'
import { type Snapshot, snapshot } from '../daemon/status/snapshot.ts'
import { viewOf } from '../daemon/status/view.ts'
import { STATES } from '../spool/layout.ts'
import { print, printable } from './print.ts'
import { asJson } from './status-json.ts'
import { asTable, batchLine } from './status-table.ts'

/**
 * How often to read the spool. Reading takes at most a tenth of the time; so a large spool is read less often. A single slow read,
 * when the machine was busy, does not count.
 */
const EVERY_MS = 1000
const SHARE = 10
const AT_MOST_MS = 5000
/** How often to print the progress as plain lines. */
const COPIES_EVERY_MS = 5000

/** `q`, Ctrl-C and Ctrl-D, as a terminal in raw mode sends them. */
const END_KEYS = ['q', 'Q', '\u0003', '\u0004']

/** Control sequences of xterm, which all terminals know. */
const SCREEN = {
  /** The other screen, no cursor, and lines cut off at the edge. */
  enter: '\u001b[?1049h\u001b[?25l\u001b[?7l',
  leave: '\u001b[?7h\u001b[?25h\u001b[?1049l',
  home: '\u001b[H',
  clearLine: '\u001b[K',
  clearBelow: '\u001b[J',
}

/** Shows the status until `q`, Ctrl-C or SIGTERM: in place on a terminal, otherwise as a line for each change. */
export async function watchStatus(config: Config, json: boolean): Promise<void> {
  const end = new AbortController()
  const stop = () => end.abort()
  process.once('SIGINT', stop).once('SIGTERM', stop).once('SIGHUP', stop)
  try {
    if (process.stdout.isTTY && !json) await onTerminal(config, end)
    else if (json)
      await everyNowAndThen(config, end.signal, (seen) => print(`${JSON.stringify(asJson(seen))}\n`))
    else await asLines(config, end.signal)
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop)
  }
}

async function onTerminal(config: Config, end: AbortController): Promise<void> {
  const { stdin, stdout } = process
  let shown = ''
  const draw = () => stdout.write(frame(shown, stdout.rows))
  const onKey = (key: Buffer) => {
    if (END_KEYS.some((end) => key.includes(end))) end.abort()
  }
  stdout.write(SCREEN.enter)
  stdout.on('resize', draw)
  if (stdin.isTTY) stdin.setRawMode(true).on('data', onKey)
  try {
    await everyNowAndThen(config, end.signal, async (seen) => {
      shown = `${asTable(seen)}\n${formatTime()}, q ends\n`
      draw()
    })
  } finally {
    stdout.off('resize', draw)
    stdout.write(SCREEN.leave)
    if (stdin.isTTY) stdin.setRawMode(false).off('data', onKey).pause()
  }
  // The last status stays on the normal screen.
  await print(shown.split('\n').slice(0, -2).join('\n'))
}

/** The text to write over the last one. Lines that don't fit are left out, and each line clears the rest of its row. */
function frame(text: string, rows: number): string {
  const lines = text.split('\n').slice(0, rows > 1 ? rows - 1 : undefined)
  return `${SCREEN.home}${lines.map((line) => `${line}${SCREEN.clearLine}`).join('\n')}${SCREEN.clearBelow}`
}

/** Prints a line if something changed, and from time to time during a copy. */
async function asLines(config: Config, signal: AbortSignal): Promise<void> {
  let last = ''
  let lastAt = Number.NEGATIVE_INFINITY
  await everyNowAndThen(config, signal, async (seen) => {
    const standing = line(seen)
    const copies = copiesOf(seen)
    const isNew = standing !== last
    if (!isNew && (copies.length === 0 || performance.now() - lastAt < COPIES_EVERY_MS)) return
    last = standing
    lastAt = performance.now()
    await print(`${[standing, ...copies].join('; ')}\n`)
  })
}

async function everyNowAndThen(
  config: Config,
  signal: AbortSignal,
  show: (seen: Snapshot) => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    const began = performance.now()
    await show(snapshot(config))
    const took = performance.now() - began
    await sleep(Math.min(Math.max(EVERY_MS, took * SHARE), AT_MOST_MS), undefined, { signal }).catch(
      () => undefined,
    )
  }
}

/** The number of jobs by state, and the reasons why they wait. Ages are left out, since they would change each second. */
function line({ exists, paused, daemon, states, destinations }: Snapshot): string {
  if (!exists) return 'no spool yet'
  const parts = [
    STATES.map((state) => `${state} ${states[state].jobs}`).join(', '),
    ...(paused ? ['paused'] : []),
    ...(daemon === 'not running' ? ['no daemon'] : []),
    ...destinations
      .filter(({ report }) => report.state === 'down')
      .map(({ name }) => `${printable(name)} is down`),
  ]
  return parts.join('; ')
}

function copiesOf(seen: Snapshot): string[] {
  const { destinations } = viewOf(seen)
  return destinations.flatMap(({ name, batches }) => batches.map((batch) => `${name}: ${batchLine(batch)}`))
}

function formatTime(): string {
  return new Date().toLocaleTimeString('sv')
}
