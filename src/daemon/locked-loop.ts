import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { refuseMissingCredentials } from '../config/credential.ts'
import { refuseMissingPrograms } from '../config/missing-programs.ts'
import type { Observer } from '../delivery/observer.ts'
import { sweepCacheHomes } from '../nix/cache-home.ts'
import { GcRoots } from '../nix/gc-roots.ts'
import { storeDirectory } from '../nix/local-store.ts'
import { openSpool, type Spool } from '../spool/layout.ts'
import { refuseProxies } from '../transport/proxy-refusal.ts'
import { EXIT, UserError, wordsOf } from '../util/user-error.ts'
import type { Until } from './exit-condition.ts'
import { sayStuckLock, takeLock } from './lock.ts'
import { Loop, type LoopResult } from './loop.ts'

type Take = () => Promise<() => Promise<void>>

interface LockedLoopOptions {
  /** Called when the value of `standing` has changed in a way that matters. */
  onChange: () => void
  observer?: Observer | undefined
  /** Takes the lock; may try as often as it likes. */
  wait?: (take: Take) => ReturnType<Take>
}

/** A loop that holds its spool's lock. */
export class LockedLoop {
  readonly loop: Loop
  readonly #unlock: () => Promise<void>
  readonly #lost: () => Error | undefined

  private constructor(loop: Loop, unlock: () => Promise<void>, lost: () => Error | undefined) {
    this.loop = loop
    this.#unlock = unlock
    this.#lost = lost
  }

  /**
   * Opens the spool, tidies it up and takes its lock.
   * @throws {UserError} if the configuration or the spool can't be used, or another daemon has it.
   */
  static async take(config: Config, log: Logger, options: LockedLoopOptions): Promise<LockedLoop> {
    refuseMissingCredentials(config.destinations)
    refuseMissingPrograms(config.destinations)
    refuseProxies(config.destinations)
    const spool = openSpool(config.spool)
    const roots = new GcRoots(config.gcroots)
    prepareRoots(roots, log)
    tidy(spool, log)
    const storeDir = await storeDirectory()
    let loop: Loop | undefined
    let lost: Error | undefined
    const onLost = (error: Error) => {
      lost = error
      loop?.abort()
    }
    const take = () => takeLock(spool, onLost, (error) => sayStuckLock(log, error))
    const { onChange, observer, wait = (once: Take) => once() } = options
    const unlock = await wait(take)
    try {
      loop = new Loop({ spool, roots, storeDir, config, log, onChange, observer })
      return new LockedLoop(loop, unlock, () => lost)
    } catch (error) {
      await unlock().catch(() => undefined)
      throw error
    }
  }

  /** Another daemon may be at work. */
  get isLost(): boolean {
    return this.#lost() !== undefined
  }

  /**
   * Runs the loop; see `Loop.run`.
   * @throws {UserError} if the lock was lost meanwhile.
   */
  async run(until: Until, onReady?: () => void): Promise<LoopResult> {
    const result = await this.loop.run(until, onReady)
    const lost = this.#lost()
    if (lost) throw lockLost(lost)
    return result
  }

  /** Releases the lock. */
  async close(): Promise<void> {
    if (!this.isLost) await this.#unlock().catch(() => undefined)
  }
}

function prepareRoots(roots: GcRoots, log: Logger): void {
  try {
    roots.prepare()
  } catch (error) {
    const message = 'no GC-root directory, so queued paths can be garbage-collected before they are uploaded'
    log.warn({ directory: roots.directory, error: wordsOf(error) }, message)
  }
}

/** Removes what a killed daemon left behind, and warns root not to work in other users' directories. */
function tidy(spool: Spool, log: Logger): void {
  try {
    sweepCacheHomes()
    // Snapshots before 0.1.0 packed their uploads here.
    rmSync(join(spool.root, 'stage'), { recursive: true, force: true })
  } catch (error) {
    log.warn({ error: wordsOf(error) }, 'what was left of an earlier run could not be removed')
  }
  const { uid } = statSync(spool.root)
  if (uid === 0 || process.geteuid?.() !== 0) return
  const message =
    'running as root on the spool of another user is not safe, as its owner could redirect what root does; run it as that user'
  log.warn({ spool: spool.root, uid }, message)
}

function lockLost(error: Error): UserError {
  return new UserError(
    `stopped, since the lock on the spool was lost (${wordsOf(error)}): another daemon may be at work, or this one ` +
      `was held up for too long. No job is lost; start it again`,
    EXIT.tryLater,
  )
}
