import type { ArgumentsCamelCase, Argv } from 'yargs'
import type { Config } from '../config/config.ts'
import { formatDuration } from '../config/duration.ts'
import { lifeOf } from '../daemon/identity.ts'
import { existingSpool, type Spool, STATES } from '../spool/layout.ts'
import { isPaused } from '../spool/pause.ts'
import { type Report, readReport } from '../spool/report.ts'
import { type Count, count } from '../spool/survey.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { colour, print, printable, printJson, table } from './print.ts'

export const command = 'status'
export const describe = 'What waits, since when, and how each destination is'

export const builder = (yargs: Argv) =>
  withCommon(yargs).option('json', { type: 'boolean', default: false, describe: 'Print JSON' })

export async function handler(args: ArgumentsCamelCase<CommonOptions & { json: boolean }>): Promise<void> {
  const config = await configFor(args)
  const status = survey(config, existingSpool(config.spool))
  if (args.json) await printJson(asJson(status))
  else await print(asText(status))
}

interface Status {
  config: Config
  spool: Spool
  paused: boolean
  report: Report | undefined
  daemon: 'running' | 'not running' | 'unknown'
  counts: Record<(typeof STATES)[number], Count>
}

function survey(config: Config, spool: Spool): Status {
  const report = readReport(spool)
  const life = report ? lifeOf(report) : 'dead'
  const counts = {
    new: count(spool, 'new'),
    cur: count(spool, 'cur'),
    done: count(spool, 'done'),
    failed: count(spool, 'failed'),
  }
  const daemon = life === 'alive' ? 'running' : life === 'dead' ? 'not running' : 'unknown'
  return { config, spool, paused: isPaused(spool), report, daemon, counts }
}

/** A running daemon knows best where it delivers to: it may have been given `--to`. */
function destinationsOf({ config, spool, report, daemon }: Status) {
  const reported = Object.entries(report?.destinations ?? {}).map(([name, { to }]) => ({ name, to }))
  const destinations = daemon === 'running' && reported.length > 0 ? reported : config.destinations
  return destinations.map(({ name, to }) => {
    const last = report?.destinations[name]
    const known = last?.to === to ? last : undefined
    return {
      name,
      to,
      state: known?.state ?? ('unknown' as const),
      lastError: known?.lastError ?? null,
      nextAttemptAt: known?.nextAttemptAt ?? null,
      paused: isPaused(spool, name),
    }
  })
}

function asJson(status: Status) {
  const { spool, paused, daemon, report, counts } = status
  const isRunning = daemon === 'running'
  return {
    spool: spool.root,
    paused,
    daemon: { running: isRunning, pid: isRunning && report ? report.pid : null },
    jobs: Object.fromEntries(STATES.map((state) => [state, counts[state].jobs])),
    oldestSeconds: {
      new: ageSeconds(counts.new),
      cur: ageSeconds(counts.cur),
      failed: ageSeconds(counts.failed),
    },
    destinations: destinationsOf(status),
  }
}

function ageSeconds({ oldest }: Count): number | null {
  return oldest ? Math.max(0, Math.round((Date.now() - oldest.getTime()) / 1000)) : null
}

function asText(status: Status): string {
  const { spool, paused, counts } = status
  const jobs = STATES.map((state) => {
    const { jobs, oldest } = counts[state]
    const age = oldest && state !== 'done' ? `oldest ${formatDuration(Date.now() - oldest.getTime())}` : ''
    const shown =
      state === 'failed' && jobs > 0 ? colour('red', `${jobs}`.padStart(7)) : `${jobs}`.padStart(7)
    return [`${state}/`, shown, age]
  })
  const destinations = destinationsOf(status).map(({ name, to, state, lastError, nextAttemptAt, paused }) => {
    const next =
      nextAttemptAt === null
        ? ''
        : `; next attempt in ${formatDuration(Date.parse(nextAttemptAt) - Date.now())}`
    const style = state === 'ok' ? 'green' : state === 'down' ? 'red' : 'dim'
    return [
      printable(name),
      colour(style, state.padEnd(7)),
      printable(to) + (paused ? colour('yellow', '  paused') : ''),
      lastError === null ? '' : printable(lastError) + next,
    ]
  })
  const head = table([
    [
      'spool',
      `${printable(spool.root)}${paused ? colour('yellow', '  paused (nix-upload resume goes on)') : ''}`,
    ],
    ['daemon', daemonLine(status)],
  ])
  return `${head}\n${table(jobs)}\n${table(destinations)}`
}

function daemonLine({ daemon, report }: Status): string {
  if (daemon === 'running' && report) {
    return `running, process ${report.pid}, for ${formatDuration(Date.now() - Date.parse(report.startedAt))}`
  }
  if (daemon === 'unknown' && report)
    return `unknown: process ${report.pid} of another container or machine wrote last`
  return 'not running; `nix-upload watch` or its service delivers what waits'
}
