import type { Logger } from 'pino'
import type { GcRoots } from '../nix/gc-roots.ts'
import { tellCollector } from '../nix/temporary-roots.ts'
import type { Spool, State } from '../spool/layout.ts'
import { protect } from '../spool/protect.ts'
import { wordsOf } from '../util/user-error.ts'

/** A line of the log names at most this many paths. */
const NAMED = 10

interface ProtectorContext {
  spool: Spool
  roots: GcRoots
  storeDir: string
  log: Logger
}

/**
 * Makes the GC roots of jobs that a person put into the spool (docs/SPOOL.md, T12), and tells Nix of them: a garbage collection
 * that is running has read the roots already.
 */
export class Protector {
  readonly #context: ProtectorContext
  /** Paths with a new root that Nix was not told of yet; `true` for those that wait in the spool. */
  #untold = new Map<string, boolean>()
  #telling: Promise<void> | undefined
  #lastError = ''

  constructor(context: ProtectorContext) {
    this.#context = context
  }

  /** Makes the roots of a job that stays where it is for now. */
  protect(state: State, name: string): void {
    const { spool, roots, storeDir } = this.#context
    try {
      this.#tellOf(protect(spool, roots, storeDir, state, name), true)
      this.#lastError = ''
    } catch (error) {
      this.#sayOnce(error, { job: name }, 'no GC roots: its paths may be collected before the upload')
    }
  }

  /** Tells Nix of paths of claimed jobs that had no roots before. */
  tellOf(paths: readonly string[]): void {
    this.#tellOf(paths, false)
  }

  /** Waits until Nix knows of all of them. */
  async stop(): Promise<void> {
    while (this.#telling) await this.#telling
  }

  #tellOf(paths: readonly string[], isWaiting: boolean): void {
    for (const path of paths) this.#untold.set(path, isWaiting)
    if (this.#untold.size === 0 || this.#telling) return
    this.#telling = this.#tell().finally(() => {
      this.#telling = undefined
      this.#tellOf([], false)
    })
  }

  async #tell(): Promise<void> {
    // Nix is told of a whole burst at once.
    await Promise.resolve()
    const untold = this.#untold
    this.#untold = new Map()
    await this.#sync()
    try {
      const gone = [...(await tellCollector([...untold.keys()]))].filter((path) => untold.get(path))
      if (gone.length === 0) return
      const message = 'jobs that wait name store paths that are gone, so they cannot be uploaded'
      this.#context.log.warn({ paths: gone.slice(0, NAMED), count: gone.length }, message)
    } catch (error) {
      const message = 'a garbage collection that is running could not be told of paths to keep'
      this.#sayOnce(error, {}, message)
    }
  }

  async #sync(): Promise<void> {
    try {
      await this.#context.roots.sync()
    } catch (error) {
      this.#sayOnce(error, {}, 'GC roots could not be synced, so a power cut may undo them')
    }
  }

  /** If a thousand jobs in a row have the same error, it is logged once. */
  #sayOnce(error: unknown, fields: object, message: string): void {
    const words = wordsOf(error)
    const kind = words.split(':')[0] ?? ''
    if (kind !== this.#lastError) this.#context.log.warn({ ...fields, error: words }, message)
    this.#lastError = kind
  }
}
