import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { LockedLoop } from './locked-loop.ts'
import type { LoopResult } from './loop.ts'
import type { Standing } from './notify.ts'

/** A daemon inside a command that also does other work: it leaves signals to the command and is no service. */
export class EmbeddedDaemon {
  readonly #locked: LockedLoop
  readonly #ended: Promise<LoopResult>

  private constructor(locked: LockedLoop) {
    this.#locked = locked
    this.#ended = locked.run('stopped').finally(() => locked.close())
    // The caller of `finish` gets the error; until then it is no unhandled rejection.
    this.#ended.catch(() => undefined)
  }

  /**
   * Starts to deliver a spool.
   * @throws {UserError} if the spool can't be used.
   */
  static async start(config: Config, log: Logger): Promise<EmbeddedDaemon> {
    return new EmbeddedDaemon(await LockedLoop.take(config, log, { onChange: () => undefined }))
  }

  standing(): Standing {
    return this.#locked.loop.standing()
  }

  /**
   * Delivers the remaining jobs, then ends.
   * @param lingerMs How long to stay at most while jobs must wait; batches in flight are finished.
   * @throws {UserError} if the lock was lost.
   */
  async finish(lingerMs: number): Promise<LoopResult> {
    const { loop } = this.#locked
    loop.endWhen(lingerMs > 0 ? 'settled' : 'idle')
    const deadline = setTimeout(() => loop.endWhen('idle'), lingerMs)
    try {
      return await this.#ended
    } finally {
      clearTimeout(deadline)
    }
  }

  /** Takes no more jobs; batches in flight may finish within the grace. */
  stop(): void {
    this.#locked.loop.stop()
  }

  /** Ends batches in flight, too. */
  abort(): void {
    this.#locked.loop.abort()
  }
}
