import { randomUUID } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { withoutPassword } from '../config/store-url.ts'
import type { Observer } from '../delivery/observer.ts'
import type { Place } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import { isPaused } from '../spool/pause.ts'
import { type Shape, surveying } from '../spool/waiting.ts'
import type { Steps } from '../util/steps.ts'
import { wordsOf } from '../util/user-error.ts'
import { version } from '../util/version.ts'
import type { Loop } from './loop.ts'
import { Metrics, type Reading } from './metrics.ts'
import { Paced } from './paced.ts'
import { pageOf } from './page/page.ts'
import { takingSnapshot } from './status/snapshot.ts'
import { WebServer } from './web-server.ts'

/** How often the file is written. */
const WRITE_EVERY_MS = 15_000
/** The spool is counted no more often than this, and a large one in at most a twentieth of the time. */
const COUNT_EVERY_MS = 5_000
const SHARE = 20
/** The page is made no more often than this. */
const PAGE_EVERY_MS = 1_000

interface ExporterContext {
  config: Config
  spool: Spool
  mode: Reading['mode']
  log: Logger
}

/** Writes and serves the metrics of a loop, and shows the status as a page, as the configuration asks for. */
export class Exporter {
  readonly observer: Observer
  readonly #context: ExporterContext
  readonly #metrics: Metrics
  readonly #destinations: readonly Place[]
  readonly #names: readonly string[]
  #loop: Loop | undefined
  #timer: NodeJS.Timeout | undefined
  #server: WebServer | undefined
  readonly #count: Paced<Shape>
  readonly #page: Paced<string>
  #hasWarned = false

  constructor(context: ExporterContext) {
    this.#context = context
    this.#destinations = context.config.destinations.map(({ name, to }) => ({
      name,
      to: withoutPassword(to),
    }))
    this.#names = this.#destinations.map(({ name }) => name)
    this.#metrics = new Metrics(version(), this.#names)
    this.observer = this.#metrics
    this.#count = new Paced(() => surveying(context.spool, this.#destinations), COUNT_EVERY_MS, SHARE)
    this.#page = new Paced(() => makingPage(context.config), PAGE_EVERY_MS, SHARE)
  }

  /** Starts; errors here must not stop uploads. */
  start(loop: Loop): void {
    const { metricsFile, metricsListen } = this.#context.config
    this.#loop = loop
    if (metricsFile !== undefined) {
      void this.#write(metricsFile, true)
      this.#timer = setInterval(() => void this.#write(metricsFile, true), WRITE_EVERY_MS)
    }
    if (metricsListen === undefined) return
    this.#server = new WebServer(metricsListen, {
      page: () => this.#page.get(),
      metrics: () => this.#text(true),
      warn: (error, what) => this.#warn(error, what),
    })
  }

  /**
   * Ends.
   * @param isLast Whether to write the last figures, which say that no daemon runs any more.
   */
  async stop(isLast: boolean): Promise<void> {
    const { metricsFile } = this.#context.config
    clearInterval(this.#timer)
    this.#server?.close()
    this.#count.outdate()
    if (metricsFile !== undefined && isLast) await this.#write(metricsFile, false)
  }

  async #write(file: string, isRunning: boolean): Promise<void> {
    // Others may be able to write to the directory: the name can't be guessed, and no symlink there is followed.
    const temporary = `${file}.${randomUUID()}`
    try {
      writeFileSync(temporary, await this.#text(isRunning), { mode: 0o644, flag: 'wx' })
      renameSync(temporary, file)
    } catch (error) {
      rmSync(temporary, { force: true })
      this.#warn(error, 'metrics can not be written')
    }
  }

  async #text(isRunning: boolean): Promise<string> {
    const { mode, spool } = this.#context
    const shape = await this.#count.get()
    const standing = this.#loop?.standing()
    if (!standing) return ''
    const paused = new Set(this.#names.filter((name) => isPaused(spool, name)))
    const sentBytes = this.#loop?.sentBytes() ?? {}
    return await this.#metrics.text({ mode, isRunning, standing, paused, sentBytes, shape })
  }

  #warn(error: unknown, what: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#context.log.error({ error: wordsOf(error) }, `${what}; uploads go on without`)
  }
}

/** The status as a page, with the time of the status. */
function* makingPage(config: Config): Steps<string> {
  const snapshot = yield* takingSnapshot(config)
  return pageOf(snapshot, { machine: hostname(), version: version() })
}
