import type { NetworkSettings } from '../config/network-settings.ts'
import { AdaptiveConcurrency, retried } from './adaptive-concurrency.ts'
import { type Attempts, layered } from './attempt.ts'
import { counted } from './byte-counter.ts'
import { type RateLimit, rateLimited } from './rate-limit.ts'
import { stallTimeout } from './stall-timeout.ts'

/** What a transport is made from. */
export interface TransportOptions {
  /** The store URL of the destination, as configured. */
  to: string
  /** Credentials for http; without it, those in the netrc file of `network`. */
  netrcFile?: string | undefined
  /** Nix's settings. They are asked for before the first connection. */
  network?: (() => Promise<NetworkSettings>) | undefined
  /** A request is ended when almost nothing has moved for this long. */
  progressTimeoutMs: number
  /** All of them apply to outgoing bytes: the destination's own limit first, then the shared one. */
  limits?: readonly RateLimit[]
  /** Called, once, with a problem that is no failure but should be fixed. */
  onWarning?: (message: string) => void
  /** How many requests are in flight; one of its own by default. */
  requests?: AdaptiveConcurrency
}

/** The layers around each request over a network. */
export function attemptsFor({
  requests,
  limits = [],
  progressTimeoutMs,
  network,
}: TransportOptions): Attempts {
  return layered(
    retried(requests ?? new AdaptiveConcurrency(), network),
    counted(),
    rateLimited(limits),
    stallTimeout(progressTimeoutMs),
  )
}
