import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import type { Config, Destination } from '../config/config.ts'
import { isOpenAlready } from '../util/plain-file.ts'
import { UserError, wordsOf } from '../util/user-error.ts'

/** Something that can take a new configuration while it runs. */
interface Reloading {
  /** Reads the configuration again. */
  load: () => Promise<Config>
  /** Applies the rate limits; `isAll` says that nothing else has changed. */
  setRates: (config: Config, isAll: boolean) => void
}

/**
 * Reads the configuration again at SIGHUP: limits apply from then on, and other changes are named in the log, since they need
 * a restart. A configuration with mistakes changes nothing.
 * @param running What the daemon was started with.
 * @returns Stops listening.
 */
export function onReloadSignal(running: Config, { load, setRates }: Reloading, log: Logger): () => void {
  const reload = async () => {
    try {
      if (running.source !== undefined && isOpenAlready(running.source))
        throw new UserError(`${running.source} can't be read a second time; restart the daemon instead`)
      const config = await load()
      const changed = changedKeys(running, config)
      setRates(config, changed.length === 0)
      log.info(ratesIn(config), 'the configuration was read again, and its limits hold')
      if (changed.length > 0) log.warn({ changed }, 'this has changed too, and takes a restart')
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      log.error({ error: wordsOf(error) }, 'the configuration was not read again; all stays as it was')
    }
  }
  const listen = () => void reload()
  process.on('SIGHUP', listen)
  return () => process.off('SIGHUP', listen)
}

function ratesIn({ maxRate, destinations }: Config): Record<string, unknown> {
  const each = destinations.flatMap(({ name, maxRate: rate }) => (rate === undefined ? [] : [[name, rate]]))
  return { maxRate, destinations: Object.fromEntries(each) }
}

/** The keys that differ, but for the limits: of the whole, and of each destination. One that is new or gone is named alone. */
function changedKeys(before: Config, after: Config): string[] {
  const { destinations: old, maxRate: _1, ...topBefore } = before
  const { destinations: current, maxRate: _2, ...topAfter } = after
  const names = new Set([...old, ...current].map(({ name }) => name))
  return [
    ...differing(topBefore, topAfter),
    ...[...names].flatMap((name) => {
      const [was, is] = [old, current].map((list) => list.find((one) => one.name === name))
      if (!was || !is) return [name]
      return differing(withoutRate(was), withoutRate(is)).map((key) => `${name}.${key}`)
    }),
  ]
}

function withoutRate({ maxRate: _, ...rest }: Destination): object {
  return rest
}

/** The key in the configuration file: `retry-min` for `retryMinMs`. */
function keyOf(field: string): string {
  if (field === 'rescanMs') return 'rescan-interval'
  return field.replace(/Ms$/, '').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function differing(before: object, after: object): string[] {
  const [old, current] = [new Map(Object.entries(before)), new Map(Object.entries(after))]
  const changed = [...new Set([...old.keys(), ...current.keys()])].filter(
    (field) => !isDeepStrictEqual(old.get(field), current.get(field)),
  )
  return changed.map(keyOf)
}
