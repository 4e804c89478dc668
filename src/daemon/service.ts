import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type Config, embeddedDestination } from '../config/config.ts'
import { refuseMissingCredentials } from '../config/credential.ts'
import { refuseMissingPrograms } from '../config/missing-programs.ts'
import { sweepCacheHomes } from '../nix/cache-home.ts'
import { GcRoots } from '../nix/gc-roots.ts'
import { storeDirectory } from '../nix/local-store.ts'
import { openSpool, type Spool } from '../spool/layout.ts'
import { refuseProxies } from '../transport/proxy-refusal.ts'
import { EXIT, UserError, wordsOf } from '../util/user-error.ts'
import type { Exporter } from './exporter.ts'
import { sayStuckLock, takeLock } from './lock.ts'
import { Loop, type LoopResult } from './loop.ts'
import { ServiceManager, statusOf } from './notify.ts'
import { onReloadSignal } from './reload.ts'

/** How long to stay: see `Until`; with `lingerMs`, until the spool is empty, but no longer than that. */
export type Stay = 'stopped' | 'idle' | { lingerMs: number }

/** A lock that somebody living has is asked for again so often by who has time. */
const LOCK_POLL_MS = 2_000
/** What stopping takes beside the grace for running copies. */
const STOP_MARGIN_MS = 30_000

/**
 * Delivers a spool under its lock, until SIGTERM or SIGINT or as long as it is to stay. A first signal lets running
 * copies finish within the grace, a second one ends them.
 * @param load Reads the configuration again, which is done at SIGHUP; without it that signal ends the process.
 * @throws {UserError} where the spool can't be used, another daemon has it, or the lock was lost.
 */
export async function serve(
  config: Config,
  log: Logger,
  stay: Stay,
  load?: () => Promise<Config>,
): Promise<LoopResult> {
  const manager = ServiceManager.ofProcess()
  refuseOddCache(config)
  refuseMissingCredentials(config.destinations)
  refuseMissingPrograms(config.destinations)
  refuseProxies(config.destinations)
  const spool = openSpool(config.spool)
  const roots = new GcRoots(config.gcroots)
  prepareRoots(roots, log)
  tidy(spool, log)
  for (const warning of config.warnings) log.warn(warning)
  const storeDir = await storeDirectory()
  let loop: Loop | undefined
  let lost: Error | undefined
  let forget: () => void = () => undefined
  let forgetReload: () => void = () => undefined
  let end: NodeJS.Timeout | undefined
  let exporter: Exporter | undefined
  const until = typeof stay === 'string' ? stay : 'empty'
  const deadline = typeof stay === 'string' ? 0 : performance.now() + stay.lingerMs
  const onLost = (error: Error) => {
    lost = error
    loop?.abort()
  }
  const take = () => takeLock(spool, onLost, (error) => sayStuckLock(log, error))
  const unlock = await takeLockBefore(deadline, take)
  try {
    exporter = await exporterFor(config, spool, until === 'stopped' ? 'watch' : 'drain', log)
    const { observer } = exporter ?? {}
    const onChange = () => manager.changed()
    const running = new Loop({ spool, roots, storeDir, config, log, onChange, observer })
    exporter?.start(running)
    loop = running
    const { stopGraceMs } = config
    forget = onStopSignals(running, log, () => manager.stopping(stopGraceMs + STOP_MARGIN_MS))
    if (load) {
      const setRates = (changed: Config, isAll: boolean) => running.setRates(changed, isAll)
      forgetReload = onReloadSignal(config, { load, setRates }, log)
    }
    const destinations = config.destinations.map(({ name, to }) => `${name} (${to})`)
    if (until === 'stopped') log.info({ spool: spool.root, destinations }, 'watching')
    if (until === 'empty') end = setTimeout(() => running.stop(), deadline - performance.now())
    const result = await running.run(until, () =>
      manager.ready({ isWell: () => running.takeWellness(), status: () => statusOf(running.standing()) }),
    )
    if (lost) throw lockLost(lost)
    return result
  } finally {
    clearTimeout(end)
    forget()
    forgetReload()
    manager.end()
    await exporter?.stop(lost === undefined)
    if (!lost) await unlock().catch(() => undefined)
  }
}

/** Only who asks for metrics pays for loading the library that makes them. */
async function exporterFor(
  config: Config,
  spool: Spool,
  mode: 'watch' | 'drain',
  log: Logger,
): Promise<Exporter | undefined> {
  if (config.metricsFile === undefined && config.metricsListen === undefined) return undefined
  const { Exporter } = await import('./exporter.ts')
  return new Exporter({ config, spool, mode, log })
}

/** Takes the lock; where another one has it, waits for it until the deadline. */
async function takeLockBefore(
  deadline: number,
  take: () => Promise<() => Promise<void>>,
): Promise<() => Promise<void>> {
  for (;;) {
    try {
      return await take()
    } catch (error) {
      const isHeld = error instanceof UserError && error.exitCode === EXIT.tryLater
      if (!isHeld || performance.now() + LOCK_POLL_MS > deadline) throw error
    }
    await sleep(LOCK_POLL_MS)
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

/** What a daemon that was killed left behind; and a word to root, who has no business in others' directories. */
function tidy(spool: Spool, log: Logger): void {
  try {
    sweepCacheHomes()
    // Where versions before 0.2 packed what they sent.
    rmSync(join(spool.root, 'stage'), { recursive: true, force: true })
  } catch (error) {
    log.warn({ error: wordsOf(error) }, 'what was left of an earlier run could not be removed')
  }
  const { uid } = statSync(spool.root)
  if (uid === 0 || process.geteuid?.() !== 0) return
  const message = 'root delivers a spool of somebody else, who could lead it anywhere; run it as that user'
  log.warn({ spool: spool.root, uid }, message)
}

function onStopSignals(loop: Loop, log: Logger, onFirst: () => void): () => void {
  let signals = 0
  const stop = (signal: NodeJS.Signals) => {
    signals++
    if (signals === 1) log.info({ signal }, 'stopping: running copies may finish')
    else log.info({ signal }, 'stopping now')
    if (signals === 1) loop.stop()
    else loop.abort()
    if (signals === 1) onFirst()
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
