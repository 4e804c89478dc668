import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Destination } from '../../config/config.ts'
import { packingQuery } from '../../config/staging.ts'
import { codeOf } from '../../config/user-error.ts'
import { Budget } from './budget.ts'
import { Pool } from './pool.ts'
import { type ScratchSpace, scratchAt } from './scratch.ts'

/** What nobody has had a use for in so long goes, room or not: it is as soon made anew. */
const IDLE_MS = 15 * 60_000
const SWEEP_EVERY_MS = 60_000

/**
 * The directory where uploads to network caches are packed. It is worthless at any moment: what is lost of it is packed
 * again.
 */
export class Stage {
  readonly budget: Budget
  readonly #root: string
  /** What is ours begins so, and is removed at the start; another spool may have its stage in the same place. */
  readonly #prefix: string
  readonly #pools = new Map<string, Pool>()
  readonly #timer: NodeJS.Timeout

  /**
   * @param root Made when it is needed.
   * @param spool Whose stage it is.
   */
  constructor(root: string, maxBytes: number, spool: string) {
    this.#root = root
    this.#prefix = `${createHash('sha256').update(spool).digest('hex').slice(0, 12)}-`
    this.budget = new Budget(maxBytes)
    this.#timer = setInterval(() => this.#sweepIdle(), SWEEP_EVERY_MS).unref()
  }

  /** The pool for a destination: the same for all that take what is packed alike. */
  poolFor(destination: Destination): Pool {
    const packing = { secretKeyFile: destination.secretKeyFile, query: packingQuery(destination.to) }
    const key = JSON.stringify(packing)
    const directory = join(this.#root, `${this.#prefix}pool-${this.#pools.size}`)
    const pool =
      this.#pools.get(key) ??
      new Pool(directory, packing, this.budget, this.scratch(destination.progressTimeoutMs))
    this.#pools.set(key, pool)
    pool.join(destination.name)
    return pool
  }

  scratch(silenceMs: number): ScratchSpace {
    const { use } = scratchAt(join(this.#root, `${this.#prefix}run-`), silenceMs)
    return {
      use: (act) => {
        mkdirSync(this.#root, { recursive: true })
        return use(act)
      },
    }
  }

  /** Removes all that is in it: what a dead daemon left, or in the end. Only for who holds the spool's lock. */
  empty(): void {
    for (const name of this.#ownNames()) rmSync(join(this.#root, name), { recursive: true, force: true })
  }

  /** Stops looking after it. */
  close(): void {
    clearInterval(this.#timer)
  }

  #ownNames(): string[] {
    try {
      return readdirSync(this.#root).filter((name) => name.startsWith(this.#prefix))
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return []
      throw error
    }
  }

  #sweepIdle(): void {
    const before = performance.now() - IDLE_MS
    this.budget.sweep(({ usedAt }) => usedAt < before)
  }
}
