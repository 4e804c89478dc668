import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Destination } from '../../config/config.ts'
import { packingQuery } from '../../config/staging.ts'
import { isOpenToAll } from '../../util/open-directory.ts'
import { codeOf, UserError } from '../../util/user-error.ts'
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
  readonly #spool: string
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
    this.#spool = spool
    this.#prefix = `${createHash('sha256').update(spool).digest('hex').slice(0, 12)}-`
    this.budget = new Budget(maxBytes)
    this.#timer = setInterval(() => this.#sweepIdle(), SWEEP_EVERY_MS).unref()
  }

  /** The pool for a destination: the same for all that take what is packed alike. */
  poolFor(destination: Destination): Pool {
    const packing = { secretKeyFile: destination.secretKeyFile, query: packingQuery(destination.to) }
    const key = JSON.stringify(packing)
    const prefix = join(this.#root, `${this.#prefix}pool-`)
    const pool =
      this.#pools.get(key) ??
      new Pool(prefix, packing, this.budget, this.scratch(destination.progressTimeoutMs))
    this.#pools.set(key, pool)
    pool.join(destination.name)
    return pool
  }

  scratch(silenceMs: number): ScratchSpace {
    const { use } = scratchAt(join(this.#root, `${this.#prefix}run-`), silenceMs)
    return {
      use: async (act) => {
        this.#makeRoot()
        return use(act)
      },
    }
  }

  /** @throws {UserError} where somebody else could exchange what is about to be signed and sent. */
  #makeRoot(): void {
    // Nobody else's to write in, whatever the umask.
    mkdirSync(this.#root, { recursive: true, mode: 0o700 })
    const owners = [0, process.geteuid?.(), statSync(this.#spool).uid]
    // A symlink may lead there, but not one that somebody else put in its place.
    const isTheirs = [statSync(this.#root), lstatSync(this.#root)].some(({ uid }) => !owners.includes(uid))
    if (!isTheirs && !isOpenToAll(this.#root)) return
    throw new UserError(
      `${this.#root}, where uploads are packed, is in the hands of others, who could put anything into them: set "stage" ` +
        `to a directory that belongs to this user and is not for all to write to`,
    )
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
      const names = readdirSync(this.#root).filter((name) => name.startsWith(this.#prefix))
      // In a shared directory others may have put something there by such a name.
      return names.filter((name) => lstatSync(join(this.#root, name)).uid === process.geteuid?.())
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
