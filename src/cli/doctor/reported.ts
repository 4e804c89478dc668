import type { Destination } from '../../config/config.ts'
import type { DestinationReport } from '../../spool/report.ts'
import { formatDuration } from '../../util/duration.ts'
import { type Check, fail, toType } from './check.ts'
import type { Service } from './service.ts'

/**
 * What was seen of a destination, and what the daemon says of it: down there is never well here.
 * @param check What was seen just now.
 */
export function withReport(check: Check, destination: Destination, service: Service): Check {
  const said = reportOf(destination, service)
  if (said?.state !== 'down') return check
  const next =
    said.nextAttemptAt === undefined
      ? ''
      : `, next attempt in ${formatDuration(Math.max(0, Date.parse(said.nextAttemptAt) - Date.now()))}`
  const what = `down, says the daemon: ${said.lastError ?? 'no word why'}${next}`
  if (check.state === 'fail') return { ...check, what: `${check.what}\n${what}` }
  const restart = restartLine(service)
  const remedy = `It answers now, so it may be over: the daemon's next attempt tells${restart === undefined ? '' : '. To have it at once'}`
  return fail(
    check.name,
    `${what}; just now: ${check.what}`,
    restart === undefined ? remedy : toType(remedy, restart),
  )
}

function reportOf({ name, to }: Destination, { report }: Service): DestinationReport | undefined {
  const said = report?.destinations[name]
  return said?.to === to ? said : undefined
}

function restartLine({ unit }: Service): string | undefined {
  return unit ? `systemctl restart ${unit.name}` : undefined
}
