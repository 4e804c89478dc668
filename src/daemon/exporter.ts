import { randomUUID } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { withoutPassword } from '../config/store-url.ts'
import type { Observer } from '../delivery/observer.ts'
import type { Place } from '../spool/job.ts'
import type { Spool } from '../spool/layout.ts'
import { isPaused } from '../spool/pause.ts'
import { type Shape, surveying } from '../spool/waiting.ts'
import { wordsOf } from '../util/user-error.ts'
import { version } from '../util/version.ts'
import type { Loop } from './loop.ts'
import { Metrics, type Reading } from './metrics.ts'

/** How often the file is written. */
const WRITE_EVERY_MS = 15_000
/** The spool is counted no more often than this, and a large one in at most a twentieth of the time. */
const COUNT_EVERY_MS = 5_000
const COUNT_SHARE = 20
/** Whoever is on this machine may connect, and must not take up all the file handles that uploads need. */
const CONNECTIONS_AT_MOST = 32

interface ExporterContext {
  config: Config
  spool: Spool
  mode: Reading['mode']
  log: Logger
}

/** Writes and serves the metrics of a loop, as the configuration asks for. */
export class Exporter {
  readonly observer: Observer
  readonly #context: ExporterContext
  readonly #metrics: Metrics
  readonly #destinations: readonly Place[]
  readonly #names: readonly string[]
  #loop: Loop | undefined
  #timer: NodeJS.Timeout | undefined
  #server: Server | undefined
  #counting: Promise<Shape> | undefined
  #nextCount = 0
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
  }

  /** Begins; nothing that goes wrong here keeps anything from being uploaded. */
  start(loop: Loop): void {
    const { metricsFile, metricsListen } = this.#context.config
    this.#loop = loop
    if (metricsFile !== undefined) {
      void this.#write(metricsFile, true)
      this.#timer = setInterval(() => void this.#write(metricsFile, true), WRITE_EVERY_MS)
    }
    if (metricsListen === undefined) return
    const { host, port } = metricsListen
    this.#server = createServer((request, response) => void this.#answer(request.url, response))
    this.#server.on('error', (error) => this.#warn(error, 'metrics can not be served'))
    this.#server.maxConnections = CONNECTIONS_AT_MOST
    this.#server.listen(port, host)
  }

  /**
   * Ends.
   * @param isLast Whether to write the last figures, which say that no daemon runs any more.
   */
  async stop(isLast: boolean): Promise<void> {
    const { metricsFile } = this.#context.config
    clearInterval(this.#timer)
    this.#server?.close()
    this.#server?.closeAllConnections()
    this.#nextCount = 0
    if (metricsFile !== undefined && isLast) await this.#write(metricsFile, false)
  }

  async #write(file: string, isRunning: boolean): Promise<void> {
    // The directory may be for others to write to: a name that nobody can guess, and no symlink there is followed.
    const temporary = `${file}.${randomUUID()}`
    try {
      writeFileSync(temporary, await this.#text(isRunning), { mode: 0o644, flag: 'wx' })
      renameSync(temporary, file)
    } catch (error) {
      rmSync(temporary, { force: true })
      this.#warn(error, 'metrics can not be written')
    }
  }

  async #answer(url: string | undefined, response: ServerResponse): Promise<void> {
    try {
      if (url?.split('?')[0] !== '/metrics') response.writeHead(404).end('the metrics are at /metrics\n')
      else response.setHeader('content-type', 'text/plain; version=0.0.4').end(await this.#text(true))
    } catch (error) {
      this.#warn(error, 'metrics can not be served')
      response.writeHead(500).end()
    }
  }

  async #text(isRunning: boolean): Promise<string> {
    const { mode, spool } = this.#context
    const shape = await this.#count()
    const standing = this.#loop?.standing()
    if (!standing) return ''
    const paused = new Set(this.#names.filter((name) => isPaused(spool, name)))
    const sentBytes = this.#loop?.sentBytes() ?? {}
    return await this.#metrics.text({ mode, isRunning, standing, paused, sentBytes, shape })
  }

  #count(): Promise<Shape> {
    if (!this.#counting || performance.now() >= this.#nextCount) {
      this.#nextCount = Number.POSITIVE_INFINITY
      this.#counting = this.#countNow()
    }
    return this.#counting
  }

  /** Others have their turn meanwhile: a million names take a second. */
  async #countNow(): Promise<Shape> {
    const began = performance.now()
    try {
      const steps = surveying(this.#context.spool, this.#destinations)
      for (;;) {
        const { done, value } = steps.next()
        if (done) return value
        await nextTurn()
      }
    } finally {
      const now = performance.now()
      this.#nextCount = now + Math.max(COUNT_EVERY_MS, (now - began) * COUNT_SHARE)
    }
  }

  #warn(error: unknown, what: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    this.#context.log.error({ error: wordsOf(error) }, `${what}; uploads go on without`)
  }
}
