import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { Dispatcher } from '../delivery/dispatcher.ts'
import type { Spool } from '../spool/layout.ts'
import { type DestinationReport, readReport, writeReport } from '../spool/report.ts'
import { own } from '../util/own.ts'
import { wordsOf } from '../util/user-error.ts'
import { version } from '../util/version.ts'
import { ownIdentity } from './identity.ts'
import { lockIdentity } from './lock.ts'

/** How often the report follows what is under way. */
const EVERY_MS = 1_000

/** Writes the report that `status` reads and that the next daemon goes on from. */
export class Reporter {
  readonly #spool: Spool
  readonly #log: Logger
  readonly #dispatcher: Dispatcher
  readonly #startedAt = new Date().toISOString()
  readonly #version = version()
  readonly #configFile: string | undefined
  #configReadAt = this.#startedAt
  readonly #lock: string
  /** Set while something is under way: the report is brought up to date when it is over. */
  #next: NodeJS.Timeout | undefined

  /** Only for the holder of the spool's lock. */
  constructor({ spool, log, config }: { spool: Spool; log: Logger; config: Config }, dispatcher: Dispatcher) {
    this.#spool = spool
    this.#configFile = config.source
    this.#log = log
    this.#dispatcher = dispatcher
    this.#lock = lockIdentity(spool)
    this.#rememberSuccess()
  }

  write(): void {
    try {
      // Another daemon took the lock while this one was stopped for long: the report belongs to that daemon now.
      if (lockIdentity(this.#spool) !== this.#lock) return
      writeReport(this.#spool, {
        pid: process.pid,
        identity: ownIdentity(),
        lock: this.#lock,
        startedAt: this.#startedAt,
        version: this.#version,
        ...(this.#configFile === undefined ? {} : { configFile: this.#configFile }),
        configReadAt: this.#configReadAt,
        destinations: reportsOf(this.#dispatcher),
      })
    } catch (error) {
      this.#log.warn({ error: wordsOf(error) }, 'the report for `nix-upload status` could not be written')
    }
  }

  /** The configuration was read again and fully applied. */
  rereadConfig(): void {
    this.#configReadAt = new Date().toISOString()
    this.write()
  }

  /** Says how far the running copies are, once a second, and once more when they are through. */
  follow(): void {
    if (this.#next || !this.#dispatcher.isRunning) return
    this.#next = setTimeout(() => {
      this.#next = undefined
      this.write()
      this.follow()
    }, EVERY_MS)
  }

  stop(): void {
    clearTimeout(this.#next)
  }

  /** The time of the last success is in the last daemon's report, which ours is going to replace. */
  #rememberSuccess(): void {
    const before = readReport(this.#spool)?.destinations ?? {}
    for (const route of this.#dispatcher.routes.all) route.remember(own(before, route.destination.name))
  }
}

/** How each destination is, by name. */
export function reportsOf({ routes }: Dispatcher): Record<string, DestinationReport> {
  return Object.fromEntries(routes.all.map((route) => [route.destination.name, route.report()]))
}
