import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { Spool, State } from '../spool/layout.ts'
import type { Stuck } from '../spool/stuck.ts'
import { prune, sweepTemporaries } from '../spool/sweep.ts'
import { sweepRoots } from '../spool/sweep-roots.ts'
import { wordsOf } from '../util/user-error.ts'
import type { Protector } from './protector.ts'
import type { StuckLog } from './stuck-log.ts'

const HOUR_MS = 3_600_000
/** The first run is soon after the start, but after the first uploads. */
const FIRST_AFTER_MS = 60_000
/** The search for roots of jobs that came unnoticed is no more frequent than this, and takes at most a tenth of the time. */
const HURRIED_EVERY_MS = 60_000
const HURRIED_SHARE = 10

interface HouseContext {
  spool: Spool
  roots: GcRoots
  config: Config
  /** Makes the roots of a job that has none. */
  protect?: (state: State, job: string) => void
  /** Called with each file that can't be removed. */
  onStuck?: (stuck: Stuck) => void
}

/** What housekeeping deleted. */
export interface Swept {
  jobs: number
  temporaries: number
  roots: number
}

/** Applies retention, sweeps up after crashes, and makes missing roots (docs/SPOOL.md, T9 to T12). */
export async function keepHouse(context: HouseContext): Promise<Swept> {
  const { spool, roots, config, protect: onUnprotected, onStuck } = context
  const retention = { ageMs: config.keepDoneMs, count: config.keepDoneCount }
  return {
    // This comes first: the other tasks lose nothing if they are late.
    roots: await sweepRoots(spool, roots, { onUnprotected, onStuck }),
    jobs: await prune(spool, retention, Date.now(), onStuck),
    temporaries: await sweepTemporaries(spool, Date.now(), onStuck),
  }
}

/** Runs every hour, and sooner if more jobs were done than are to be kept. */
export class Housekeeping {
  readonly #context: HouseContext
  readonly #log: Logger
  #nextAt = performance.now() + FIRST_AFTER_MS
  #isHurried = false
  #nextHurriedAt = 0
  #doneAtLast = 0
  #running: Promise<void> | undefined

  constructor(
    { spool, roots, config, log }: Omit<HouseContext, 'protect' | 'onStuck'> & { log: Logger },
    protector: Protector,
    stuckLog: StuckLog,
  ) {
    const protect = (state: State, job: string) => protector.protect(state, job)
    const onStuck = ({ name, error }: Stuck) =>
      stuckLog.file(name, error, "this can't be removed, so it is left alone")
    this.#context = { spool, roots, config, protect, onStuck }
    this.#log = log
  }

  /**
   * Starts a run if one is due.
   * @param done How many jobs were done so far.
   */
  run(done: number): void {
    if (this.#running) return
    const now = performance.now()
    const isSurplus = done - this.#doneAtLast > this.#context.config.keepDoneCount
    const isDue = isSurplus || now >= this.#nextAt
    if (isDue) {
      this.#nextAt = now + HOUR_MS
      this.#doneAtLast = done
      this.#start(() => keepHouse(this.#context))
    } else if (this.#isHurried && now >= this.#nextHurriedAt) this.#start(() => this.#sweepRoots())
  }

  /** Unnoticed jobs may wait without roots: these are made soon. */
  hurry(): void {
    this.#isHurried = true
  }

  /** Before the end, makes missing roots if unclaimed jobs wait. */
  async protectAll(): Promise<void> {
    await this.#running
    this.#start(() => this.#sweepRoots())
    await this.#running
  }

  /** Waits for a run under way. */
  async stop(): Promise<void> {
    await this.#running
  }

  async #sweepRoots(): Promise<Swept> {
    const { spool, roots, protect: onUnprotected, onStuck } = this.#context
    return { jobs: 0, temporaries: 0, roots: await sweepRoots(spool, roots, { onUnprotected, onStuck }) }
  }

  #start(sweep: () => Promise<Swept>): void {
    this.#isHurried = false
    const since = performance.now()
    this.#running = this.#logged(sweep).finally(() => {
      this.#running = undefined
      const now = performance.now()
      this.#nextHurriedAt = now + Math.max(HURRIED_EVERY_MS, HURRIED_SHARE * (now - since))
    })
  }

  async #logged(sweep: () => Promise<Swept>): Promise<void> {
    try {
      const swept = await sweep()
      if (swept.jobs + swept.temporaries + swept.roots > 0) this.#log.info(swept, 'housekeeping')
    } catch (error) {
      this.#log.warn({ error: wordsOf(error) }, 'housekeeping could not finish; it is tried again in an hour')
    }
  }
}
