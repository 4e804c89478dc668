import { availableParallelism } from 'node:os'
import type { Via } from './via.ts'

/** A place that all jobs are uploaded to. */
export interface Destination {
  /** Its name in `status`, logs and job files. */
  name: string
  /** A Nix store URL as the user wrote it; for a user's program, its command line. */
  to: string
  /** The program that gets the store paths instead of `nix copy`. */
  command?: Command
  /** The key to sign all paths with. */
  secretKeyFile?: string
  /** Credentials for http destinations. */
  netrcFile?: string
  /** A batch has at most this many store paths. */
  batchSize: number
  /** This many batches may run in parallel. */
  concurrency: number
  /** A job is given up after this many failures of its own. */
  maxAttempts: number
  /** The first wait after a failure; it doubles up to `retryMaxMs`. */
  retryMinMs: number
  retryMaxMs: number
  /** A copy is ended after this time without output or I/O. */
  progressTimeoutMs: number
  /** Globs on names such as `hello-2.12.1`: paths that are excluded, or not included, are not uploaded. */
  include: readonly string[]
  exclude: readonly string[]
  /** A path with a NAR larger than this many bytes is not uploaded. */
  maxSize?: number
  /** Whether the paths' dependencies are uploaded too. */
  closure: boolean
  /** Whether the derivations that built the paths are uploaded too. */
  derivations: boolean
  /** Whether build logs are uploaded too. */
  logs: boolean
  /** Whether the destination is read back after each upload: is all there, with our signature? */
  verify: boolean
  /** How uploads get there, if there is a choice. */
  via: Via
  /** Names of keys, and URLs of caches: paths that are signed with these keys, or are in these caches, aren't uploaded. */
  skipUpstream: readonly string[]
  /** For this long, a path that was seen at the destination counts as present. */
  presenceAgeMs: number
  /** At most this many bytes are sent per second. */
  maxRate?: number
}

/** A user's program that uploads. */
export interface Command {
  argv: readonly [string, ...string[]]
  /** How it gets the store paths: appended to its arguments, or on stdin, one per line. */
  paths: 'arguments' | 'stdin'
}

/** Where a server listens. */
export interface Address {
  host: string
  port: number
}

/** Everything that can be configured, complete. */
export interface Config {
  spool: string
  /** The GC-root directory; empty turns roots off. */
  gcroots: string
  destinations: Destination[]
  /** Configured destinations that `--to` replaces: jobs go on waiting for them. */
  others: readonly Destination[]
  /** How often `new/` is read in case the file watcher missed something. */
  rescanMs: number
  /** How long a running copy may go on after SIGTERM. */
  stopGraceMs: number
  keepDoneMs: number
  keepDoneCount: number
  logLevel: LogLevel
  /** Where metrics are written for node_exporter. */
  metricsFile?: string
  /** Where metrics are served over HTTP. */
  metricsListen?: Address
  /** How many threads pack store paths. */
  packJobs: number
  /** At most this many bytes are sent per second, to all destinations together. */
  maxRate?: number
  /** The file it came from, if any. */
  source?: string
  /** Warnings about it. */
  warnings: readonly string[]
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const DEFAULT_CONFIG_FILE = '/etc/nix-upload/config.toml'

/** Each thread takes some megabytes of memory, even when idle. */
const MOST_PACK_JOBS = 8
/** Sending takes a core, and with two busy threads on two cores each byte takes a tenth more of their time. */
const SENDING_CORES = 1

/** All defaults; README and the manual state the same. */
export const DEFAULTS = {
  spool: '/var/spool/nix-upload',
  gcroots: '/nix/var/nix/gcroots/nix-upload',
  rescanMs: 30_000,
  stopGraceMs: 60_000,
  keepDoneMs: 7 * 24 * 3600_000,
  keepDoneCount: 10_000,
  logLevel: 'info',
  packJobs: Math.max(1, Math.min(availableParallelism() - SENDING_CORES, MOST_PACK_JOBS)),
} as const

export const DESTINATION_DEFAULTS = {
  batchSize: 500,
  concurrency: 2,
  maxAttempts: 8,
  retryMinMs: 5_000,
  retryMaxMs: 5 * 60_000,
  progressTimeoutMs: 10 * 60_000,
  include: [],
  exclude: [],
  closure: true,
  derivations: false,
  logs: false,
  verify: false,
  skipUpstream: [],
  presenceAgeMs: 4 * 3600_000,
} as const

/** The default destination: a binary cache in a directory beside the spool. */
export function embeddedDestination(spool: string): string {
  // These have a meaning in URLs.
  return `file://${spool.replaceAll(/[%?#]/g, encodeURIComponent)}-cache`
}
