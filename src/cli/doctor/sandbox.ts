import type { Config } from '../../config/config.ts'
import { isCredential } from '../../config/credential.ts'
import { keyFilesIn } from '../../config/store-parameters.ts'
import { writtenTo } from '../init/settled.ts'
import { isBelow, showing } from '../unit-sandbox.ts'
import { type Check, fail, ok, type Patient, quoted, toType } from './check.ts'

/** Does the unit's sandbox let the service use its local files and directories: spool, caches, metrics, keys? */
export function checkSandbox({ config, service }: Patient): Check[] {
  const { unit, report } = service
  // A daemon that was started by hand is in no sandbox.
  if (!unit || (report && report.pid !== unit.pid)) return []
  const name = 'sandbox'
  const { writable, hidden, bound } = unit
  if (!writable && hidden.length === 0) return []
  const isHidden = (path: string) => isBelow(path, hidden) && !isBelow(path, bound)
  const written = [...new Set(allWritten(config))]
  const closed = written.filter((path) => !isHidden(path) && writable && !isBelow(path, writable))
  const unseenWritten = written.filter(isHidden)
  const unseenRead = [...new Set(allRead(config))].filter(isHidden)
  const unseen = [...unseenWritten, ...unseenRead]
  const wrong = [
    ...(closed.length > 0 ? [`may not write to ${closed.join(', ')}`] : []),
    ...(unseen.length > 0 ? [`can't see ${unseen.join(', ')} (ProtectHome=, PrivateTmp=)`] : []),
  ]
  if (wrong.length === 0) return [ok(name, `${unit.name} may read and write all that it needs`)]
  const settings = [
    ...closed.map((path) => `ReadWritePaths=-${path}`),
    ...showing(unseenWritten, unseenRead),
  ].map(quoted)
  const directory = `/etc/systemd/system/${unit.name}.d`
  const remedy = toType(
    unseen.length > 0 ? 'Keep that elsewhere, or allow it in a drop-in' : 'Allow it in a drop-in',
    `mkdir -p ${directory}`,
    `printf '%s\\n' '[Service]' ${settings.join(' ')} >> ${directory}/sandbox.conf`,
    'systemctl daemon-reload',
    `systemctl try-restart ${unit.name}`,
  )
  return [fail(name, `${unit.name} ${wrong.join(', and ')}`, remedy)]
}

function allWritten(config: Config): string[] {
  const { caches, metrics } = writtenTo(config)
  return [config.spool, ...(config.gcroots === '' ? [] : [config.gcroots]), ...caches, ...metrics]
}

/** Keys and logins, and programs that are named with their path. */
function allRead({ destinations }: Config): string[] {
  return destinations
    .flatMap(({ to, command, secretKeyFile, netrcFile }) => [
      secretKeyFile,
      netrcFile,
      ...(command ? [command.argv[0]] : keyFilesIn(to)),
    ])
    .flatMap((file) => (file === undefined || isCredential(file) || !file.startsWith('/') ? [] : [file]))
}
