import * as z from 'zod/mini'
import { LONGEST_WAIT_MS, parseDuration } from '../util/duration.ts'
import { parseSize } from '../util/size.ts'
import { type KnownKeys, problemsOf } from './complaints.ts'
import { DEFAULTS, DESTINATION_DEFAULTS, LOG_LEVELS } from './config.ts'
import { isCredential } from './credential.ts'
import { storeUrlProblem } from './store-url.ts'

/** A checked value: what is expected is said in words, for the error message. */
function expected<T>(words: string, read: (value: unknown) => T | undefined) {
  return z.pipe(
    z.unknown(),
    z.transform((value: unknown, context) => {
      const result = read(value)
      if (result !== undefined) return result
      context.issues.push({ code: 'custom', message: `expected ${words}`, input: value })
      return z.NEVER
    }),
  )
}

const DURATION = 'a duration such as "30s", "5m", "12h" or "7d"'
const duration = () => expected(DURATION, parseDuration)

/** A duration that a timer is set to. */
const wait = (leastMs: number) =>
  expected(`${DURATION}, from ${leastMs}ms to 14d`, (value) => {
    const ms = parseDuration(value)
    return ms !== undefined && ms >= leastMs && ms <= LONGEST_WAIT_MS ? ms : undefined
  })

const absolutePath = (what: string) =>
  expected(`${what}, an absolute path`, (value) =>
    typeof value === 'string' && value.startsWith('/') && !value.includes('\0') ? value : undefined,
  )

const secretFile = expected('a file, an absolute path, or "credential:NAME"', (value) =>
  typeof value === 'string' && (isCredential(value) || (value.startsWith('/') && !value.includes('\0')))
    ? value
    : undefined,
)

const wholeNumber = (least: number, most: number) =>
  expected(`a whole number from ${least} to ${most}`, (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
      ? value
      : undefined,
  )

const storeUrl = z.pipe(
  z.unknown(),
  z.transform((value: unknown, context) => {
    const problem =
      typeof value === 'string' ? storeUrlProblem(value) : 'expected a store URL such as "s3://my-cache"'
    if (problem === undefined) return String(value)
    context.issues.push({ code: 'custom', message: problem, input: value })
    return z.NEVER
  }),
)

const destinationName = expected('a name of letters, digits, ".", "-" and "_"', (value) =>
  typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value) ? value : undefined,
)

const gcRootsDirectory = expected('a directory, an absolute path, or "" for no GC roots', (value) =>
  typeof value === 'string' && (value === '' || value.startsWith('/')) ? value : undefined,
)

const globs = expected('a list of globs such as ["*-source", "nixos-system-*"]', (value) =>
  Array.isArray(value) && value.every((glob) => typeof glob === 'string' && glob !== '')
    ? value.map(String)
    : undefined,
)

const commandLine = expected('a program and its arguments, such as ["attic", "push", "main"]', (value) => {
  if (!Array.isArray(value) || !value.every((word) => typeof word === 'string' && !word.includes('\0')))
    return undefined
  const [program, ...rest] = value.map(String)
  const argv: readonly [string, ...string[]] | undefined = program ? [program, ...rest] : undefined
  return argv
})

const trueOrFalse = expected('true or false', (value) => (typeof value === 'boolean' ? value : undefined))

const upstreams = expected(
  'a list of key names and cache URLs such as ["cache.nixos.org-1", "https://cache.example.org"]',
  (value) =>
    Array.isArray(value) &&
    value.every((item) => typeof item === 'string' && /^(?:https?:\/\/[^\s@]+|[^\s:/]+)$/.test(item))
      ? value.map(String)
      : undefined,
)

const rate = expected('a size per second such as "500K" or "2M"', (value) => {
  const bytes = parseSize(value)
  return bytes !== undefined && bytes >= 1 ? bytes : undefined
})

/** `stage` is what older versions called the way of binary caches. */
const via = expected('"nix"', (value) => (['nix', 'stage'] as const).find((one) => one === value))

/** Of keys that have no effect any more, anything is taken. */
const retired = z.optional(z.unknown())

const pathsMode = expected('"arguments" or "stdin"', (value) =>
  (['arguments', 'stdin'] as const).find((mode) => mode === value),
)

const metricsFile = expected('a file, an absolute path that ends in .prom', (value) =>
  typeof value === 'string' && /^\/.*[^/]\.prom$/.test(value) && !value.includes('\0') ? value : undefined,
)

const address = expected('an address and a port such as "127.0.0.1:9850" or "[::1]:9850"', (value) => {
  if (typeof value !== 'string') return undefined
  const [, v6, v4 = '', port] = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(value) ?? []
  return Number(port) > 0 && Number(port) < 65536 ? { host: v6 ?? v4, port: Number(port) } : undefined
})

export const destinationSchema = z.strictObject({
  name: z.optional(destinationName),
  to: z.optional(storeUrl),
  command: z.optional(commandLine),
  paths: z.optional(pathsMode),
  'secret-key-file': z.optional(secretFile),
  'netrc-file': z.optional(secretFile),
  include: z._default(globs, [...DESTINATION_DEFAULTS.include]),
  exclude: z._default(globs, [...DESTINATION_DEFAULTS.exclude]),
  'max-size': z.optional(expected('a size such as "500M" or "2GiB"', parseSize)),
  closure: z._default(trueOrFalse, DESTINATION_DEFAULTS.closure),
  derivations: z._default(trueOrFalse, DESTINATION_DEFAULTS.derivations),
  logs: z._default(trueOrFalse, DESTINATION_DEFAULTS.logs),
  'check-contents': retired,
  verify: z._default(trueOrFalse, DESTINATION_DEFAULTS.verify),
  'batch-size': z._default(wholeNumber(1, 5000), DESTINATION_DEFAULTS.batchSize),
  concurrency: z._default(wholeNumber(1, 64), DESTINATION_DEFAULTS.concurrency),
  'max-attempts': z._default(wholeNumber(1, 1000), DESTINATION_DEFAULTS.maxAttempts),
  'retry-min': z._default(wait(1), DESTINATION_DEFAULTS.retryMinMs),
  'retry-max': z._default(wait(1), DESTINATION_DEFAULTS.retryMaxMs),
  'progress-timeout': z._default(wait(1), DESTINATION_DEFAULTS.progressTimeoutMs),
  via: z.optional(via),
  'skip-upstream': z._default(upstreams, [...DESTINATION_DEFAULTS.skipUpstream]),
  'presence-age': z._default(duration(), DESTINATION_DEFAULTS.presenceAgeMs),
  'max-rate': z.optional(rate),
})

export const fileSchema = z.strictObject({
  spool: z.optional(absolutePath('a directory')),
  gcroots: z.optional(gcRootsDirectory),
  destination: z.optional(z.array(destinationSchema)),
  'rescan-interval': z._default(wait(1), DEFAULTS.rescanMs),
  'stop-grace': z._default(wait(0), DEFAULTS.stopGraceMs),
  'keep-done': z._default(duration(), DEFAULTS.keepDoneMs),
  'keep-done-count': z._default(wholeNumber(0, 10_000_000), DEFAULTS.keepDoneCount),
  'log-level': z._default(
    expected(`one of ${LOG_LEVELS.join(', ')}`, (value) => LOG_LEVELS.find((level) => level === value)),
    DEFAULTS.logLevel,
  ),
  'metrics-file': z.optional(metricsFile),
  'metrics-listen': z.optional(address),
  stage: retired,
  'stage-size': retired,
  'pack-jobs': z._default(wholeNumber(1, 64), DEFAULTS.packJobs),
  'max-rate': z.optional(rate),
})
export type ConfigFile = z.output<typeof fileSchema>
export type DestinationSection = z.output<typeof destinationSchema>

const KNOWN_KEYS: KnownKeys = {
  destination: Object.keys(destinationSchema.def.shape),
  top: Object.keys(fileSchema.def.shape),
}

/**
 * Checks what a config file holds.
 * @param value The parsed TOML.
 * @returns The values with defaults filled in, or one sentence a problem: the key, what was expected, what came.
 */
export function checkFile(value: unknown): { file: ConfigFile } | { problems: string[] } {
  const result = z.safeParse(fileSchema, value, { reportInput: true })
  if (result.success) return { file: result.data }
  return { problems: result.error.issues.flatMap((issue) => problemsOf(issue, KNOWN_KEYS)) }
}
