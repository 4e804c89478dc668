import type { Config } from '../../config/config.ts'
import { writtenTo } from '../init/settled.ts'
import { type Check, fail, ok, type Patient, quoted, toType } from './check.ts'

/** Does the unit's sandbox let the service write to what lies on this machine: spool, caches, metrics? */
export function checkSandbox({ config, service }: Patient): Check[] {
  const { unit, report } = service
  // A daemon that somebody started by hand is in no sandbox.
  if (!unit?.writable || (report && report.pid !== unit.pid)) return []
  const name = 'sandbox'
  const { writable } = unit
  const isWritable = (path: string) =>
    writable.some((place) => path === place || path.startsWith(`${place}/`))
  const closed = [...new Set(allWritten(config))].filter((path) => !isWritable(path))
  if (closed.length === 0) return [ok(name, `${unit.name} may write wherever it has to`)]
  const directory = `/etc/systemd/system/${unit.name}.d`
  const remedy = toType(
    'Allow it in a drop-in',
    `mkdir -p ${directory}`,
    `printf '[Service]\\nReadWritePaths=-%s\\n' ${closed.map(quoted).join(' ')} >> ${directory}/write.conf`,
    'systemctl daemon-reload',
    `systemctl try-restart ${unit.name}`,
  )
  return [fail(name, `${unit.name} may not write to ${closed.join(', ')}`, remedy)]
}

function allWritten(config: Config): string[] {
  const { caches, metrics } = writtenTo(config)
  return [config.spool, ...(config.gcroots === '' ? [] : [config.gcroots]), ...caches, ...metrics]
}
