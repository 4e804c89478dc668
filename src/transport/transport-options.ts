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
  /** What Nix goes by. It is asked for once there is something to connect to. */
  network?: (() => Promise<NetworkSettings>) | undefined
  /** A request is ended when next to nothing has moved for so long. */
  progressTimeoutMs: number
  /** Each of them holds for what goes out. The destination's own comes first, what it shares with others behind. */
  limits?: readonly RateLimit[]
  /** Told, once, of what is no failure but should be mended. */
  onWarning?: (message: string) => void
  /** How many requests are in flight; one of its own by default. */
  requests?: AdaptiveConcurrency
}

/** What is done around each request over a network. */
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
