import type { Config } from '../../config/config.ts'
import { daemonAccess } from '../../nix/daemon-socket.ts'
import { NixFailure } from '../../nix/failure.ts'
import type { Spool } from '../../spool/layout.ts'
import { codeOf, wordsOf } from '../../util/user-error.ts'
import type { Service } from './service.ts'

/** The result of a check. */
export interface Check {
  name: string
  /** A `warn` is worth knowing. Only a `fail` prevents uploads, now or soon. */
  state: 'ok' | 'warn' | 'fail' | 'skipped'
  /** What was found. */
  what: string
  /** What to do; lines that begin with four spaces are commands to type. */
  remedy?: string
}

/** The installation to check. */
export interface Patient {
  config: Config
  spool: Spool
  service: Service
  storeDir: string
}

export function ok(name: string, what: string): Check {
  return { name, state: 'ok', what }
}

export function warn(name: string, what: string, remedy: string): Check {
  return { name, state: 'warn', what, remedy }
}

export function fail(name: string, what: string, remedy: string): Check {
  return { name, state: 'fail', what, remedy }
}

export function skipped(name: string, what: string, remedy: string): Check {
  return { name, state: 'skipped', what, remedy }
}

/**
 * A remedy with commands to type, each after four spaces, as `init` prints them.
 * @param why Their purpose.
 */
export function toType(why: string, ...lines: string[]): string {
  return [`${why}:`, ...lines.map((line) => `    ${line}`)].join('\n')
}

/** A remedy that is a setting of the service's unit. */
export function inUnit(why: string, setting: string): string {
  const directory = '/etc/systemd/system/nix-upload.service.d'
  return toType(
    why,
    `mkdir -p ${directory}`,
    `printf '[Service]\\n%s\\n' ${quoted(setting)} >> ${directory}/doctor.conf`,
    'systemctl daemon-reload',
    'systemctl try-restart nix-upload.service',
  )
}

/** A file name or a URL, quoted for a shell. */
export function quoted(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** For something that this user can't see. */
export function unseen(name: string, what: string): Check {
  return skipped(name, what, toType('Run it as root', 'nix-upload doctor'))
}

/** The result of a check; if it can't be made at all, the result says why. */
export async function attempt(
  name: string,
  look: () => Check[] | Promise<Check[]>,
  remedy = 'Fix that, then run doctor again',
): Promise<Check[]> {
  try {
    return await look()
  } catch (error) {
    const what = `could not be checked: ${wordsOf(error)}`
    if (process.geteuid?.() !== 0 && (await isForbidden(error))) return [unseen(name, what)]
    const isNixAway = error instanceof NixFailure && ['closed', 'dead'].includes(await daemonAccess())
    return [isNixAway ? skipped(name, what, AFTER_NIX) : fail(name, what, remedy)]
  }
}

/** The remedy if a check needs Nix, and Nix can't be asked. */
export const AFTER_NIX = 'Fix the problem of nix-daemon first'

async function isForbidden(error: unknown): Promise<boolean> {
  if (error instanceof NixFailure) return (await daemonAccess()) === 'closed'
  return ['EACCES', 'EPERM'].includes(codeOf(error) ?? '')
}
