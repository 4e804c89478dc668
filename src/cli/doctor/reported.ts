import type { Destination } from '../../config/config.ts'
import type { DestinationReport } from '../../spool/report.ts'
import { formatDuration } from '../../util/duration.ts'
import { own } from '../../util/own.ts'
import { type Check, fail, toType } from './check.ts'
import type { Service } from './service.ts'

/**
 * Combines the check of a destination with the daemon's report: if it is down for the daemon, it is not well.
 * @param check The result of the check.
 */
export function withReport(check: Check, destination: Destination, service: Service): Check {
  const said = reportOf(destination, service)
  if (said?.state !== 'down') return check
  const next =
    said.nextAttemptAt === undefined
      ? ''
      : `, next attempt in ${formatDuration(Math.max(0, Date.parse(said.nextAttemptAt) - Date.now()))}`
  const isTheSame = said.lastError !== undefined && check.what.includes(said.lastError)
  if (check.state === 'fail' && isTheSame)
    return { ...check, what: `${check.what}\nthe daemon says the same${next}` }
  const what = `down, according to the daemon: ${said.lastError ?? 'for an unknown reason'}${next}`
  if (check.state === 'fail') return { ...check, what: `${check.what}\n${what}` }
  const restart = restartLine(service)
  const remedy = `It answers now, so it may be over: the daemon's next attempt will show${restart === undefined ? '' : '. To try at once'}`
  return fail(
    check.name,
    `${what}; just now: ${check.what}`,
    restart === undefined ? remedy : toType(remedy, restart),
  )
}

function reportOf({ name, to }: Destination, { report }: Service): DestinationReport | undefined {
  const said = own(report?.destinations, name)
  return said?.to === to ? said : undefined
}

function restartLine({ unit }: Service): string | undefined {
  return unit ? `systemctl restart ${unit.name}` : undefined
}
