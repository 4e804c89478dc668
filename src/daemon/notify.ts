import { execFile } from 'node:child_process'
import type { DestinationReport } from '../spool/report.ts'

/** A helper that takes longer hangs; the next message starts another one. */
const HELPER_TIMEOUT_MS = 10_000
/** How often the status is updated if there is no watchdog to feed. */
const STATUS_EVERY_MS = 60_000
/** systemd shows a status on one line. */
const STATUS_MAX = 200

/** Passes assignments such as `READY=1` on; resolves when they are out, or could not be. */
export type Send = (assignments: readonly string[]) => Promise<void>

/** The service manager's requests, from our environment (sd_notify(3), sd_watchdog_enabled(3)). */
export interface Asked {
  isAsked: boolean
  /** After this long without a message we count as dead. */
  watchdogMs?: number
}

/** Takes the requests out of the environment, so that the programs that we start don't find them. */
export function takeAsked(env: NodeJS.ProcessEnv, pid: number): Asked {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env
  const isForUs = WATCHDOG_PID === undefined || WATCHDOG_PID === `${pid}`
  const watchdogMs = Number(WATCHDOG_USEC) / 1000
  if (!NOTIFY_SOCKET) return { isAsked: false }
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name]
  return { isAsked: true, ...(isForUs && watchdogMs > 0 ? { watchdogMs } : {}) }
}

/**
 * Sends by way of systemd-notify, since Node has no unix datagram sockets. That makes it another process's message, so
 * the unit needs NotifyAccess=all. Failing is no error: no job depends on it.
 */
export function sendTo(socket: string): Send {
  return (assignments) =>
    new Promise((resolve) => {
      const options = { env: { ...process.env, NOTIFY_SOCKET: socket }, timeout: HELPER_TIMEOUT_MS }
      execFile('systemd-notify', [...assignments], options, () => resolve())
    })
}

/** What the service manager is told about, and how it knows that we are alive. */
export interface Subject {
  /** False if the work hangs. Asked at each feed, so "since the last time" may count. */
  isWell(): boolean
  /** Some words for `systemctl status`. */
  status(): string
}

/** Tells the service manager how things are, if there is one: ready, stopping, a line of status, and that we live. */
export class ServiceManager {
  readonly #asked: Asked
  readonly #send: Send
  #queue: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #subject: Subject | undefined
  #status = ''

  constructor(asked: Asked, send: Send) {
    this.#asked = asked
    this.#send = send
  }

  /** The one that this process's environment names. */
  static ofProcess(): ServiceManager {
    const socket = process.env.NOTIFY_SOCKET ?? ''
    return new ServiceManager(takeAsked(process.env, process.pid), sendTo(socket))
  }

  /** Ready; from now on the watchdog is fed twice as often as required, as long as the subject is well. */
  ready(subject: Subject): void {
    if (!this.#asked.isAsked) return
    this.#subject = subject
    this.#tell(['READY=1', ...this.#newStatus()])
    const everyMs = (this.#asked.watchdogMs ?? 2 * STATUS_EVERY_MS) / 2
    // This timer alone must not keep the process alive.
    this.#timer = setInterval(() => this.#feed(), everyMs).unref()
  }

  /** The status may have changed. */
  changed(): void {
    const status = this.#newStatus()
    if (status.length > 0) this.#tell(status)
  }

  /** Stopping. The argument says how long it may take, perhaps more than TimeoutStopSec=. */
  stopping(graceMs: number): void {
    if (!this.#asked.isAsked) return
    this.#tell(['STOPPING=1', `EXTEND_TIMEOUT_USEC=${Math.round(graceMs * 1000)}`, ...this.#newStatus()])
  }

  /** Sends nothing more. */
  end(): void {
    clearInterval(this.#timer)
    this.#subject = undefined
  }

  #feed(): void {
    const isFed = this.#asked.watchdogMs !== undefined && this.#subject?.isWell()
    const assignments = [...(isFed ? ['WATCHDOG=1'] : []), ...this.#newStatus()]
    if (assignments.length > 0) this.#tell(assignments)
  }

  #newStatus(): string[] {
    const status = this.#subject?.status() ?? this.#status
    if (status === this.#status) return []
    this.#status = status
    return [`STATUS=${status}`]
  }

  /** One message after the other: otherwise an old status could arrive after a new one. */
  #tell(assignments: readonly string[]): void {
    this.#queue = this.#queue.then(() => this.#send(assignments))
  }
}

/** How the daemon is, for `statusOf`. */
export interface Standing {
  isPaused: boolean
  isStopping: boolean
  inHand: number
  done: number
  failed: number
  destinations: Readonly<Record<string, DestinationReport>>
}

/** The daemon's state in a line. */
export function statusOf(standing: Standing): string {
  const { isPaused, isStopping, inHand, done, failed, destinations } = standing
  const down = Object.entries(destinations).filter(([, { state }]) => state === 'down')
  const parts = [
    doing(isPaused, isStopping, inHand),
    ...down.map(([name, { lastError }]) => `${name} is down${lastError ? ` (${lastError})` : ''}`),
    ...(done > 0 ? [`${done} done`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ]
  const line = parts.join('; ').replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
  return line.length > STATUS_MAX ? `${line.slice(0, STATUS_MAX - 1)}…` : line
}

function doing(isPaused: boolean, isStopping: boolean, inHand: number): string {
  if (isStopping) return 'stopping'
  if (isPaused) return 'paused'
  if (inHand === 0) return 'waiting for jobs'
  return inHand === 1 ? '1 job in hand' : `${inHand} jobs in hand`
}
