import { realpathSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Destination } from '../config/config.ts'
import { isCredential } from '../config/credential.ts'
import type { Report } from '../spool/report.ts'
import { version } from '../util/version.ts'
import { hasStart, startOf } from './identity.ts'
import { unitOf } from './unit-files.ts'

/** Why a daemon that runs should be started anew. */
export interface Stale {
  /** The changes since it was started, in words. */
  reasons: string[]
  /** What to type. */
  command: string
}

const PROGRAM = fileURLToPath(new URL('../../package.json', import.meta.url))

/**
 * Compares a running daemon with the files that it read at its start. A file's ctime tells whether it has changed:
 * npm, dpkg and `cp -p` set the other times. Signing keys don't count, since they are read each time, except
 * those that are systemd credentials.
 * @returns undefined if it is up to date, or if that can't be found out.
 */
export function staleness(report: Report, destinations: readonly Destination[]): Stale | undefined {
  const unit = unitOf(report.pid)
  const startedMs = startedAt(report)
  const isSince = (atMs: number) => (file: string) => changedMs(file) > atMs
  const logins = destinations
    .flatMap(({ netrcFile }) => netrcFile ?? [])
    .filter((file) => !isCredential(file))
  const configs = report.configFile === undefined ? [] : [report.configFile]
  const readMs = Math.max(startedMs, Date.parse(report.configReadAt ?? '') || 0)
  const changed = [
    ...configs.filter(isSince(readMs)),
    ...[...logins, ...(unit?.inputs ?? []), ...(unit?.units ?? [])].filter(isSince(startedMs)),
  ]
  const reasons = [
    ...programReasons(report, startedMs),
    ...new Set(changed.map((file) => `${file} has changed`)),
  ]
  if (reasons.length === 0) return undefined
  return { reasons, command: restartCommand(unit?.name, unit?.units.some(isSince(startedMs)) ?? false) }
}

/** In one sentence. */
export function staleSentence({ reasons, command }: Stale): string {
  return `restart it (${command}): since it was started, ${reasons.join(', ')}`
}

function programReasons(report: Report, startedMs: number): string[] {
  const own = version()
  if (report.version !== undefined && report.version !== own) {
    return [`version ${own} was installed, and it is ${report.version}`]
  }
  return changedMs(PROGRAM) > startedMs ? ['nix-upload was installed anew'] : []
}

function restartCommand(unit: string | undefined, isUnitChanged: boolean): string {
  if (unit === undefined) return 'end it with SIGTERM, and start it as before'
  return `${isUnitChanged ? 'systemctl daemon-reload && ' : ''}systemctl restart ${unit}`
}

/** If the clock was set meanwhile, a written time would be wrong; the kernel counts from now. */
function startedAt(report: Report): number {
  return hasStart(report)
    ? Date.parse(report.startedAt)
    : (startOf(report.pid) ?? Date.parse(report.startedAt))
}

/** 0 if unknown: a missing file causes its own errors, and a file in the store never changes. */
function changedMs(file: string): number {
  try {
    if (realpathSync(file).startsWith(`${process.env.NIX_STORE_DIR ?? '/nix/store'}/`)) return 0
    return statSync(file).ctimeMs
  } catch {
    return 0
  }
}
