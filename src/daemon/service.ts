import type { Logger } from 'pino'
import { type Config, embeddedDestination } from '../config/config.ts'
import { EXIT, UserError, wordsOf } from '../config/user-error.ts'
import { GcRoots } from '../nix/gc-roots.ts'
import { storeDirectory } from '../nix/local-store.ts'
import { openSpool } from '../spool/layout.ts'
import { takeLock } from './lock.ts'
import { Loop, type LoopResult } from './loop.ts'

/**
 * Delivers a spool under its lock, until SIGTERM or SIGINT (`stopped`) or until nothing more can be done (`idle`).
 * A first signal lets running copies finish within the grace, a second one ends them.
 * @throws {UserError} where the spool can't be used, another daemon has it, or the lock was lost.
 */
export async function serve(config: Config, log: Logger, until: 'stopped' | 'idle'): Promise<LoopResult> {
  refuseOddCache(config)
  const spool = openSpool(config.spool)
  const roots = new GcRoots(config.gcroots)
  prepareRoots(roots, log)
  const storeDir = await storeDirectory()
  let loop: Loop | undefined
  let lost: Error | undefined
  const unlock = await takeLock(spool, (error) => {
    lost = error
    loop?.abort()
  })
  try {
    loop = new Loop({ spool, roots, storeDir, config, log })
    const forget = onStopSignals(loop, log)
    const destinations = config.destinations.map(({ name, to }) => `${name} (${to})`)
    if (until === 'stopped') log.info({ spool: spool.root, destinations }, 'watching')
    const result = await loop.run(until)
    forget()
    if (lost) throw lockLost(lost)
    return result
  } finally {
    if (!lost) await unlock().catch(() => undefined)
  }
}

/** What `%20` in a file:// URL means differs from one Nix to the next, so the default keeps to paths without. */
function refuseOddCache({ spool, destinations }: Config): void {
  const isEmbedded = destinations.some(({ to }) => to === embeddedDestination(spool))
  if (!isEmbedded || /^[\w/.~+@:=-]+$/.test(spool)) return
  throw new UserError(
    `no destination is configured, and a cache beside the spool can't be made at "${spool}-cache", as Nix would take ` +
      `its blanks or special characters for something else; say where to upload with --to or in a configuration file`,
    EXIT.badConfig,
  )
}

function prepareRoots(roots: GcRoots, log: Logger): void {
  try {
    roots.prepare()
  } catch (error) {
    const message = 'no GC-root directory, so queued paths can be garbage-collected before they are uploaded'
    log.warn({ directory: roots.directory, error: wordsOf(error) }, message)
  }
}

function onStopSignals(loop: Loop, log: Logger): () => void {
  let signals = 0
  const stop = (signal: NodeJS.Signals) => {
    signals++
    if (signals === 1) log.info({ signal }, 'stopping: running copies may finish')
    else log.info({ signal }, 'stopping now')
    if (signals === 1) loop.stop()
    else loop.abort()
  }
  process.on('SIGTERM', stop).on('SIGINT', stop)
  return () => process.off('SIGTERM', stop).off('SIGINT', stop)
}

function lockLost(error: Error): UserError {
  return new UserError(
    `stopped, since the lock on the spool was lost (${wordsOf(error)}): another daemon may be at work, or this one ` +
      `was held up for too long. No job is lost; start it again`,
    EXIT.tryLater,
  )
}
