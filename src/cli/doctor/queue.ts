import { existsSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { lifeOf } from '../../daemon/identity.ts'
import { staleness } from '../../daemon/stale.ts'
import { STATES } from '../../spool/layout.ts'
import { isPaused } from '../../spool/pause.ts'
import { type Report, readReport } from '../../spool/report.ts'
import { count, lastNames, look } from '../../spool/survey.ts'
import { formatDuration } from '../../util/duration.ts'
import { jobAsJson } from '../list.ts'
import { counted } from '../print.ts'
import { type Check, fail, ok, type Patient, skipped, toType, warn } from './check.ts'

/** A job that has waited for this long is stuck: an upload takes minutes, and a destination that is down is a problem, too. */
const STUCK_MS = 3600_000

/** Is a daemon running, and does it make progress? */
export function checkQueue(patient: Patient): Check[] {
  if (STATES.some((state) => !existsSync(patient.spool[state]))) {
    return [skipped('queue', 'a part of the spool is missing', 'Fix the problem of the spool first')]
  }
  return [checkDaemon(patient), checkWaiting(patient), checkFailed(patient)]
}

function checkDaemon({ spool, service, config }: Patient): Check {
  const name = 'daemon'
  const report = readReport(spool)
  const life = report ? lifeOf(report) : 'dead'
  if (report && life === 'alive') return checkRunning(name, report, config)
  if (life === 'unknown')
    return ok(name, `the last report is from process ${report?.pid} of another container or machine`)
  if (service.unit?.isPathMode) return ok(name, 'starts when something is queued (nix-upload-drain.path)')
  const waiting = count(spool, 'new').jobs + count(spool, 'cur').jobs
  const remedy = service.unit
    ? toType(
        'Start it; if that fails, see systemctl status nix-upload.service',
        'systemctl enable --now nix-upload.service',
      )
    : `Run \`nix-upload watch\` as ${service.user.name} under a supervisor, or install the units: nix-upload init --install`
  if (waiting > 0)
    return fail(
      name,
      `none is running, and ${counted(waiting, 'job')} ${waiting === 1 ? 'waits' : 'wait'}`,
      remedy,
    )
  return warn(name, 'none is running; no job waits yet', remedy)
}

function checkRunning(name: string, report: Report, { destinations }: Config): Check {
  const stale = staleness(report, destinations)
  const what = `runs as process ${report.pid}`
  if (!stale) return ok(name, what)
  return warn(
    name,
    `${what}; since it was started, ${stale.reasons.join(', ')}`,
    toType('Restart it', stale.command),
  )
}

function checkWaiting({ spool, service }: Patient): Check {
  const name = 'queue'
  const [atNew, cur] = [count(spool, 'new'), count(spool, 'cur')]
  const jobs = atNew.jobs + cur.jobs
  if (jobs === 0) return ok(name, 'nothing waits')
  const since = Math.min(...[atNew, cur].map(({ oldest }) => oldest?.getTime() ?? Number.POSITIVE_INFINITY))
  const ageMs = Math.max(0, Date.now() - since)
  const what = `${counted(jobs, 'job')} ${jobs === 1 ? 'waits' : 'wait'}, the oldest for ${formatDuration(ageMs)}`
  if (isPaused(spool)) return warn(name, `paused: ${what}`, toType('Go on', 'nix-upload resume'))
  if (ageMs < STUCK_MS) return ok(name, what)
  const down = Object.entries(service.report?.destinations ?? {}).filter(([, { state }]) => state === 'down')
  const why = down.map(
    ([destination, { lastError }]) => `${destination} is down: ${lastError ?? 'for an unknown reason'}`,
  )
  const remedy =
    why.length > 0
      ? 'Fix the destination; then the waiting jobs are delivered'
      : '`nix-upload status` shows the waiting jobs by destination; the log of the daemon shows what it does (journalctl -u nix-upload)'
  return fail(name, [what, ...why].join('; '), remedy)
}

function checkFailed({ spool }: Patient): Check {
  const name = 'failed'
  const { jobs } = count(spool, 'failed')
  if (jobs === 0) return ok(name, 'no job was given up')
  const found = lastNames(spool, 'failed', 1).names.flatMap((name) => look(spool, 'failed', name) ?? [])
  const [last] = found.map(jobAsJson)
  const what = `${counted(jobs, 'job')} ${jobs === 1 ? 'was' : 'were'} given up; the last is ${last?.job}: ${last?.lastError ?? 'for an unknown reason'}`
  return fail(
    name,
    what,
    toType('nix-upload list failed shows the reasons. Fix them, then', 'nix-upload requeue --all'),
  )
}
