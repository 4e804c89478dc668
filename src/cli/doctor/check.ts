import type { Config } from '../../config/config.ts'
import { daemonAccess } from '../../nix/daemon-socket.ts'
import { NixFailure } from '../../nix/failure.ts'
import type { Spool } from '../../spool/layout.ts'
import { codeOf, wordsOf } from '../../util/user-error.ts'
import type { Service } from './service.ts'

/** What came of a look at one thing. */
export interface Check {
  name: string
  /** A `warn` is worth knowing; only a `fail` keeps uploads from working, now or soon. */
  state: 'ok' | 'warn' | 'fail' | 'skipped'
  /** What was seen, in words. */
  what: string
  /** What to do about it; lines behind four blanks are to be typed. */
  remedy?: string
}

/** What the checks look at. */
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
 * A remedy with lines to be typed, each behind four blanks, as `init` prints them.
 * @param why What they are for.
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

/** A file's name or a URL as a shell takes it. */
export function quoted(text: string): string {
  return /^[\w./:@%+,=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** Of what can't be seen as this user. */
export function unseen(name: string, what: string): Check {
  return skipped(name, what, toType('Root sees it', 'nix-upload doctor'))
}

/** The outcome of one look; where that can't be made at all, it says why. */
export async function attempt(
  name: string,
  look: () => Check[] | Promise<Check[]>,
  remedy = 'Mend that, then run doctor again',
): Promise<Check[]> {
  try {
    return await look()
  } catch (error) {
    const what = `could not be looked at: ${wordsOf(error)}`
    if (process.geteuid?.() !== 0 && (await isForbidden(error))) return [unseen(name, what)]
    const isNixAway = error instanceof NixFailure && ['closed', 'dead'].includes(await daemonAccess())
    return [isNixAway ? skipped(name, what, AFTER_NIX) : fail(name, what, remedy)]
  }
}

/** What to do about a thing that Nix has to be asked about, and can't. */
export const AFTER_NIX = 'Mend what is said of nix-daemon first'

async function isForbidden(error: unknown): Promise<boolean> {
  if (error instanceof NixFailure) return (await daemonAccess()) === 'closed'
  return ['EACCES', 'EPERM'].includes(codeOf(error) ?? '')
}
