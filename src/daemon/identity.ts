import { readFileSync, readlinkSync, statSync } from 'node:fs'
import type { Spool } from '../spool/layout.ts'
import { type Report, readReport } from '../spool/report.ts'
import { codeOf } from '../util/user-error.ts'

/**
 * The tolerance between a process's start and the time in its report. The kernel knows the time of boot only to the second, and
 * between the start and the report a slow machine has to load the program and take the lock.
 */
const SAME_START_MS = 15_000

/**
 * Names a process beyond doubt: boot, PID namespace, PID and start time. A PID alone is used again.
 * @returns undefined if there is no such process, or no /proc to tell.
 */
function identityOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const namespace = readlinkSync('/proc/self/ns/pid')
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command's name, in parentheses, may hold anything; the start time is the 20th field after it (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, startTime] = [fields[0] ?? '', fields[19]]
    // A zombie is dead; only its parent hasn't noticed, which in a container may be for good.
    if (state === 'Z' || state === 'X') return undefined
    return `${boot} ${namespace} ${pid} ${startTime}`
  } catch {
    return undefined
  }
}

/** This process's identity; where there is no /proc, its PID. */
export function ownIdentity(): string {
  return identityOf(process.pid) ?? `${process.pid}`
}

/**
 * Tells whether the process that wrote a report still lives.
 * @returns `unknown` if it ran in another PID namespace (a container), which we can't look into.
 */
export function lifeOf(report: Report): 'alive' | 'dead' | 'unknown' {
  const [boot, namespace] = report.identity.split(' ')
  const [ownBoot, ownNamespace] = ownIdentity().split(' ')
  if (ownNamespace === undefined || namespace === undefined)
    return signalReaches(report.pid) ? 'alive' : 'dead'
  if (boot !== ownBoot && !(namespace === ownNamespace && hasStart(report))) return 'dead'
  if (namespace !== ownNamespace) return 'unknown'
  return withoutBoot(identityOf(report.pid)) === withoutBoot(report.identity) ? 'alive' : 'dead'
}

/** The report of a spool's daemon, if it runs or may run (in another container, which we can't look into). */
export function livingReport(spool: Spool): Report | undefined {
  const report = readReport(spool)
  return report && lifeOf(report) !== 'dead' ? report : undefined
}

/**
 * Whether a process with the PID of a report was started at the time in the report. Two processes of one boot can see different
 * boot IDs: systemd-nspawn mounts an invented one, which ProtectKernelTunables= of systemd 252 hides.
 */
export function hasStart({ pid, startedAt }: Report): boolean {
  return Math.abs((startOf(pid) ?? Number.NaN) - Date.parse(startedAt)) < SAME_START_MS
}

function withoutBoot(identity: string | undefined): string | undefined {
  return identity?.split(' ').slice(1).join(' ')
}

function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** The number of the user that a process runs as; undefined if there is no such process, or no /proc to tell. */
export function userOf(pid: number): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid
}

/**
 * When a process was started, in milliseconds since 1970, by the clock as it is now; to the second.
 * @returns undefined if there is no such process, or no /proc to tell.
 */
export function startOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // proc(5): the 22nd field, in hundredths of a second since the boot.
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
    const bootSeconds = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1])
    const startedMs = bootSeconds * 1000 + ticks * 10
    return Number.isFinite(startedMs) ? startedMs : undefined
  } catch {
    return undefined
  }
}
