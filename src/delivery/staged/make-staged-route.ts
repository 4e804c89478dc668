import type { Logger } from 'pino'
import type { Config, Destination } from '../../config/config.ts'
import type { StoreSession } from '../../nix/store-session.ts'
import { createTransport } from './create-transport.ts'
import type { Rates } from './rates.ts'
import type { Unsigned } from './repair.ts'
import type { Stage } from './stage.ts'
import { StagedRoute } from './staged-route.ts'
import { Upstream } from './upstream.ts'

/** What the staged destinations of a configuration share. */
export interface Shared {
  config: Config
  store: StoreSession
  stage: Stage
  rates: Rates
  log: Logger
}

/** The way to a destination by the stage. */
export function makeStagedRoute(
  destination: Destination,
  { config, store, stage, rates, log }: Shared,
): StagedRoute {
  const { to, name, netrcFile, progressTimeoutMs, presenceAgeMs, skipUpstream } = destination
  const isUrl = (upstream: string) => upstream.includes('://')
  const asked = skipUpstream.filter(isUrl).map((url) => createTransport({ to: url, progressTimeoutMs }))
  return new StagedRoute(destination, {
    store,
    transport: createTransport({
      to,
      netrcFile,
      progressTimeoutMs,
      limits: rates.for(name),
      onWarning: (message) => log.warn(message),
    }),
    pool: stage.poolFor(destination),
    scratch: stage.scratch(progressTimeoutMs),
    upstream: new Upstream(
      skipUpstream.filter((upstream) => !isUrl(upstream)),
      asked,
      presenceAgeMs,
    ),
    presenceAgeMs,
    chunkBytes: shareOf(config),
    onUnsigned: (unsigned) => warn(log, unsigned),
  })
}

/** Of the stage, twice for each batch that may be under way: so none of them has to wait for another one. */
function shareOf({ stageBytes, destinations }: Config): number {
  const batches = destinations
    .filter(({ via }) => via === 'stage')
    .reduce((sum, { concurrency }) => sum + concurrency, 0)
  return Math.floor(stageBytes / Math.max(1, 2 * batches))
}

function warn(log: Logger, unsigned: readonly Unsigned[]): void {
  for (const { path, why } of unsigned) {
    log.warn({ path, why }, 'a path that was there before stays without our signature')
  }
}
