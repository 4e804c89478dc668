import { existsSync } from 'node:fs'

/**
 * Whether this process is the main process of a systemd unit, as the daemon is. Then something may be forbidden by its unit.
 * `exec` in a CI job is no such process.
 */
export const IS_UNIT = process.env.SYSTEMD_EXEC_PID === `${process.pid}`

/** What the units read their variables from (`EnvironmentFile=`). `init` makes it if there will be credentials. */
export const ENVIRONMENT_FILE = '/etc/nix-upload/environment'

/**
 * Where to set variables for this process, to be appended to their names; empty if that is its own caller's business.
 * @param isUnit Whether a unit starts it.
 */
export function whereToSet(isUnit = IS_UNIT, file = ENVIRONMENT_FILE): string {
  if (!isUnit) return ''
  return existsSync(file) ? ` in ${file} (then restart the service)` : ' in its unit'
}
