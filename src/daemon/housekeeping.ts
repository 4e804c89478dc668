import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { GcRoots } from '../nix/gc-roots.ts'
import type { Spool } from '../spool/layout.ts'
import { prune, sweepTemporaries } from '../spool/sweep.ts'
import { sweepRoots } from '../spool/sweep-roots.ts'
import { wordsOf } from '../util/user-error.ts'

const HOUR_MS = 3_600_000
/** A first run soon after the start, but behind the first uploads. */
const FIRST_AFTER_MS = 60_000

interface HousekeepingContext {
  spool: Spool
  roots: GcRoots
  config: Config
  log: Logger
}

/** What housekeeping deleted. */
export interface Swept {
  jobs: number
  temporaries: number
  roots: number
}

/** Applies retention and sweeps what crashes left (docs/SPOOL.md, T9 to T11). */
export async function keepHouse({ spool, roots, config }: Omit<HousekeepingContext, 'log'>): Promise<Swept> {
  const retention = { ageMs: config.keepDoneMs, count: config.keepDoneCount }
  return {
    jobs: await prune(spool, retention),
    temporaries: await sweepTemporaries(spool),
    roots: await sweepRoots(spool, roots),
  }
}

/** Keeps house every hour, and sooner where more jobs were done than are to be kept. */
export class Housekeeping {
  readonly #context: HousekeepingContext
  #nextAt = performance.now() + FIRST_AFTER_MS
  #doneAtLast = 0
  #running: Promise<void> | undefined

  constructor(context: HousekeepingContext) {
    this.#context = context
  }

  /**
   * Starts a run if one is due.
   * @param done How many jobs were done so far.
   */
  run(done: number): void {
    const isSurplus = done - this.#doneAtLast > this.#context.config.keepDoneCount
    if (this.#running || (!isSurplus && performance.now() < this.#nextAt)) return
    this.#nextAt = performance.now() + HOUR_MS
    this.#doneAtLast = done
    this.#running = this.#sweep().finally(() => {
      this.#running = undefined
    })
  }

  /** Waits for a run under way. */
  async stop(): Promise<void> {
    await this.#running
  }

  async #sweep(): Promise<void> {
    const { log } = this.#context
    try {
      const swept = await keepHouse(this.#context)
      if (swept.jobs + swept.temporaries + swept.roots > 0) log.info(swept, 'housekeeping')
    } catch (error) {
      log.warn({ error: wordsOf(error) }, 'housekeeping could not finish; it is tried again in an hour')
    }
  }
}
