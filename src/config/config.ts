import { availableParallelism } from 'node:os'
import type { Via } from './via.ts'

/** A place that every job goes to. */
export interface Destination {
  /** What `status`, logs and job files call it. */
  name: string
  /** A Nix store URL as the user wrote it; for a program of the user's, its command line. */
  to: string
  /** The program that gets the store paths instead of `nix copy`. */
  command?: Command
  /** The key that every path is signed with on its way. */
  secretKeyFile?: string
  /** Credentials for http destinations. */
  netrcFile?: string
  /** At most so many store paths go out in one `nix copy`. */
  batchSize: number
  /** So many copies may run side by side. */
  concurrency: number
  /** Failures of its own that a job may have before it is given up. */
  maxAttempts: number
  /** The first wait after a failure; it doubles up to `retryMaxMs`. */
  retryMinMs: number
  retryMaxMs: number
  /** A copy that shows no sign of life for so long is ended. */
  progressTimeoutMs: number
  /** Globs on names such as `hello-2.12.1`: what is not included, or excluded, is not uploaded. */
  include: readonly string[]
  exclude: readonly string[]
  /** A path with a NAR larger than this many bytes is not uploaded. */
  maxSize?: number
  /** Whether the paths' dependencies go along. */
  closure: boolean
  /** Whether the derivations that built the paths are uploaded too. */
  derivations: boolean
  /** Whether build logs are uploaded too. */
  logs: boolean
  /** Whether the destination is read back after each upload: is all there, with our signature? */
  verify: boolean
  /** How uploads get there, where there is a choice. */
  via: Via
  /** Names of keys, and URLs of caches: what has been signed with them, or is there, isn't uploaded. */
  skipUpstream: readonly string[]
  /** For how long what was seen at the destination is taken to be there. */
  presenceAgeMs: number
  /** Bytes a second that go out at most. */
  maxRate?: number
}

/** A program of the user's that uploads. */
export interface Command {
  argv: readonly [string, ...string[]]
  /** How it gets the store paths: appended to its arguments, or one a line on stdin. */
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
  /** Destinations of the configuration that `--to` stands in for: jobs go on waiting for them. */
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
  /** How many store paths are packed side by side. */
  packJobs: number
  /** Bytes a second that go out at most, to all destinations together. */
  maxRate?: number
  /** The file it came from, if any. */
  source?: string
  /** What is odd about it, but no error. */
  warnings: readonly string[]
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export const DEFAULT_CONFIG_FILE = '/etc/nix-upload/config.toml'

/** Each takes some megabytes of memory, whether it is at work or not. */
const MOST_PACK_JOBS = 8

/** The one place of every default; README and the manual state the same. */
export const DEFAULTS = {
  spool: '/var/spool/nix-upload',
  gcroots: '/nix/var/nix/gcroots/nix-upload',
  rescanMs: 30_000,
  stopGraceMs: 60_000,
  keepDoneMs: 7 * 24 * 3600_000,
  keepDoneCount: 10_000,
  logLevel: 'info',
  packJobs: Math.min(availableParallelism(), MOST_PACK_JOBS),
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

/** Where uploads go when nobody says where: a binary cache in a folder beside the spool. */
export function embeddedDestination(spool: string): string {
  return `file://${spool}-cache`
}
