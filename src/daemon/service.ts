import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type Config, embeddedDestination } from '../config/config.ts'
import { openSpool } from '../spool/layout.ts'
import { collectGarbageEarly } from '../util/heap.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import type { Exporter } from './exporter.ts'
import { LockedLoop } from './locked-loop.ts'
import type { Loop, LoopResult } from './loop.ts'
import { ServiceManager, statusOf } from './notify.ts'
import { onReloadSignal } from './reload.ts'

/** How long to stay: see `Until`; with `lingerMs`, until the spool is empty, but no longer than that. */
export type Stay = 'stopped' | 'idle' | { lingerMs: number }

/** How often a lock that a living daemon holds is tried again, until the deadline. */
const LOCK_POLL_MS = 2_000
/** How long stopping takes in addition to the grace for running copies. */
const STOP_MARGIN_MS = 30_000

/**
 * Delivers a spool under its lock, until SIGTERM or SIGINT or as long as it is to stay. A first signal lets running
 * copies finish within the grace, a second one ends them.
 * @param load Reads the configuration again, which is done at SIGHUP; without it that signal ends the process.
 * @throws {UserError} if the spool can't be used, another daemon has it, or the lock was lost.
 */
export async function serve(
  config: Config,
  log: Logger,
  stay: Stay,
  load?: () => Promise<Config>,
): Promise<LoopResult> {
  collectGarbageEarly()
  const manager = ServiceManager.ofProcess()
  refuseOddCache(config)
  for (const warning of config.warnings) log.warn(warning)
  const until = typeof stay === 'string' ? stay : 'empty'
  const deadline = typeof stay === 'string' ? 0 : performance.now() + stay.lingerMs
  const exporter = await exporterFor(config, until === 'stopped' ? 'watch' : 'drain', log)
  const locked = await LockedLoop.take(config, log, {
    onChange: () => manager.changed(),
    observer: exporter?.observer,
    wait: (take) => takeLockBefore(deadline, take),
  })
  const { loop } = locked
  exporter?.start(loop)
  const { stopGraceMs } = config
  const forget = onStopSignals(loop, log, () => manager.stopping(stopGraceMs + STOP_MARGIN_MS))
  const setRates = (changed: Config, isAll: boolean) => loop.setRates(changed, isAll)
  const forgetReload = load ? onReloadSignal(config, { load, setRates }, log) : undefined
  const end = until === 'empty' ? setTimeout(() => loop.stop(), deadline - performance.now()) : undefined
  try {
    const destinations = config.destinations.map(({ name, to }) => `${name} (${to})`)
    if (until === 'stopped') log.info({ spool: config.spool, destinations }, 'watching')
    return await locked.run(until, () =>
      manager.ready({ isWell: () => loop.takeWellness(), status: () => statusOf(loop.standing()) }),
    )
  } finally {
    clearTimeout(end)
    forget()
    forgetReload?.()
    manager.end()
    await exporter?.stop(!locked.isLost)
    await locked.close()
  }
}

/** The metrics library is loaded only if metrics are configured. */
async function exporterFor(
  config: Config,
  mode: 'watch' | 'drain',
  log: Logger,
): Promise<Exporter | undefined> {
  if (config.metricsFile === undefined && config.metricsListen === undefined) return undefined
  const { Exporter } = await import('./exporter.ts')
  return new Exporter({ config, spool: openSpool(config.spool), mode, log })
}

/** Takes the lock; if another daemon holds it, waits for it until the deadline. */
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

/** The meaning of `%20` in a file:// URL differs between releases of Nix, so the default needs a path without it. */
function refuseOddCache({ spool, destinations }: Config): void {
  const isEmbedded = destinations.some(({ to }) => to === embeddedDestination(spool))
  if (!isEmbedded || /^[\w/.~+@:=-]+$/.test(spool)) return
  throw new UserError(
    `no destination is configured, and a cache beside the spool can't be made at "${spool}-cache", as Nix would take ` +
      `its blanks or special characters for something else; say where to upload with --to or in a configuration file`,
    EXIT.badConfig,
  )
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
