import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { refuseMissingCredentials } from '../config/credential.ts'
import { refuseMissingPrograms } from '../config/missing-programs.ts'
import { GcRoots } from '../nix/gc-roots.ts'
import { storeDirectory } from '../nix/local-store.ts'
import { openSpool } from '../spool/layout.ts'
import { refuseProxies } from '../transport/proxy-refusal.ts'
import { sayStuckLock, takeLock } from './lock.ts'
import { Loop, type LoopResult } from './loop.ts'
import type { Standing } from './notify.ts'

/** A daemon that runs in this process, beside something else that it does not get in the way of. */
export interface Beside {
  standing(): Standing
  /**
   * Delivers what is left, then ends.
   * @param lingerMs How long to stay at most while something must wait; what is under way by then is finished.
   */
  finish(lingerMs: number): Promise<LoopResult>
  /** Takes on nothing more; running copies may finish within the grace. */
  stop(): void
  /** Ends the running copies. */
  abort(): void
}

/**
 * Starts to deliver a spool. Unlike `serve` it leaves signals to its caller and is no service.
 * @throws {UserError} where the spool can't be used.
 */
export async function serveBeside(config: Config, log: Logger): Promise<Beside> {
  refuseMissingCredentials(config.destinations)
  refuseMissingPrograms(config.destinations)
  refuseProxies(config.destinations)
  const spool = openSpool(config.spool)
  const roots = new GcRoots(config.gcroots)
  const storeDir = await storeDirectory()
  let lost: Error | undefined
  let loop: Loop | undefined
  const onLost = (error: Error) => {
    lost = error
    loop?.abort()
  }
  const unlock = await takeLock(spool, onLost, (error) => sayStuckLock(log, error))
  const running = new Loop({ spool, roots, storeDir, config, log, onChange: () => undefined })
  loop = running
  const ended = running.run('stopped').finally(() => (lost ? undefined : unlock().catch(() => undefined)))
  // Whoever calls `finish` hears of it; until then it is no unhandled rejection.
  ended.catch(() => undefined)
  const finish = async (lingerMs: number) => {
    running.endWhen(lingerMs > 0 ? 'settled' : 'idle')
    const deadline = setTimeout(() => running.endWhen('idle'), lingerMs)
    try {
      return await ended
    } finally {
      clearTimeout(deadline)
    }
  }
  return {
    standing: () => running.standing(),
    finish,
    stop: () => running.stop(),
    abort: () => running.abort(),
  }
}
