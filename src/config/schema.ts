import { DEFAULTS, DESTINATION_DEFAULTS, LOG_LEVELS } from './config.ts'
import * as an from './expectations.ts'
import { RETIRED_KEYS } from './retired-keys.ts'
import { problemsOf } from './schema-errors.ts'
import { type Problem, readTable, Table } from './table.ts'

function destinationSection(table: Table) {
  const d = DESTINATION_DEFAULTS
  return {
    name: table.optional('name', an.destinationName),
    to: table.optional('to', an.storeUrl),
    command: table.optional('command', an.commandLine),
    paths: table.optional('paths', an.oneOf(['arguments', 'stdin'], '"arguments" or "stdin"')),
    'secret-key-file': table.optional('secret-key-file', an.secretFile),
    'netrc-file': table.optional('netrc-file', an.secretFile),
    include: table.withDefault('include', an.globs, [...d.include]),
    exclude: table.withDefault('exclude', an.globs, [...d.exclude]),
    'max-size': table.optional('max-size', an.size),
    closure: table.withDefault('closure', an.trueOrFalse, d.closure),
    derivations: table.withDefault('derivations', an.trueOrFalse, d.derivations),
    logs: table.withDefault('logs', an.trueOrFalse, d.logs),
    'check-contents': table.optional('check-contents', an.retired),
    verify: table.withDefault('verify', an.trueOrFalse, d.verify),
    'batch-size': table.withDefault('batch-size', an.wholeNumber(1, 5000), d.batchSize),
    concurrency: table.withDefault('concurrency', an.wholeNumber(1, 64), d.concurrency),
    'max-attempts': table.withDefault('max-attempts', an.wholeNumber(1, 1000), d.maxAttempts),
    'retry-min': table.withDefault('retry-min', an.wait(1), d.retryMinMs),
    'retry-max': table.withDefault('retry-max', an.wait(1), d.retryMaxMs),
    'progress-timeout': table.withDefault('progress-timeout', an.wait(1), d.progressTimeoutMs),
    // In older versions, `stage` was the way to write binary caches.
    via: table.optional('via', an.oneOf(['nix', 'stage'], '"nix"')),
    'skip-upstream': table.withDefault('skip-upstream', an.upstreams, [...d.skipUpstream]),
    'presence-age': table.withDefault('presence-age', an.duration, d.presenceAgeMs),
    'max-rate': table.optional('max-rate', an.rate),
  }
}

function configFile(table: Table) {
  return {
    spool: table.optional('spool', an.directory),
    gcroots: table.optional('gcroots', an.gcRootsDirectory),
    destination: table.sections('destination', an.sections, destinationSection),
    'rescan-interval': table.withDefault('rescan-interval', an.wait(1), DEFAULTS.rescanMs),
    'stop-grace': table.withDefault('stop-grace', an.wait(0), DEFAULTS.stopGraceMs),
    'keep-done': table.withDefault('keep-done', an.duration, DEFAULTS.keepDoneMs),
    'keep-done-count': table.withDefault(
      'keep-done-count',
      an.wholeNumber(0, 10_000_000),
      DEFAULTS.keepDoneCount,
    ),
    'log-level': table.withDefault('log-level', an.oneOf(LOG_LEVELS), DEFAULTS.logLevel),
    'metrics-file': table.optional('metrics-file', an.metricsFile),
    'metrics-listen': table.optional('metrics-listen', an.address),
    stage: table.optional('stage', an.retired),
    'stage-size': table.optional('stage-size', an.retired),
    'pack-jobs': table.withDefault('pack-jobs', an.wholeNumber(1, 64), DEFAULTS.packJobs),
    'max-rate': table.optional('max-rate', an.rate),
  }
}

export type ConfigFile = ReturnType<typeof configFile>
export type DestinationSection = ReturnType<typeof destinationSection>

/** The known keys at the top of a file and in a `[[destination]]`. */
export const KEYS = { top: keysOf(configFile), destination: keysOf(destinationSection) } as const

function keysOf(read: (table: Table) => unknown): readonly string[] {
  const table = new Table({}, [], [])
  read(table)
  return table.known.filter((key) => !RETIRED_KEYS.includes(key))
}

/**
 * Checks the content of a config file.
 * @param value The parsed TOML.
 * @returns The values with defaults filled in, or one sentence for each problem: the key, the expected value, the actual one.
 */
export function checkFile(value: unknown): { file: ConfigFile } | { problems: string[] } {
  const problems: Problem[] = []
  const file = readTable(value, [], problems, configFile)
  if (problems.length === 0) return { file }
  return { problems: problems.flatMap((problem) => problemsOf(problem, KEYS)) }
}
