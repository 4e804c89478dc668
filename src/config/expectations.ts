import { LONGEST_WAIT_MS, parseDuration } from '../util/duration.ts'
import { parseSize } from '../util/size.ts'
import { isCredential } from './credential.ts'
import { parameterProblem } from './store-parameters.ts'
import { storeUrlProblem } from './store-url.ts'
import type { Expectation } from './table.ts'

/** A check of a value, with a description of what is expected, for the error message. */
function expected<T>(words: string, read: (value: unknown) => T | undefined): Expectation<T> {
  return { problemOf: () => `expected ${words}`, read }
}

const DURATION = 'a duration such as "30s", "5m", "12h" or "7d"'
export const duration = expected(DURATION, parseDuration)

/** A duration that a timer is set to. */
export function wait(leastMs: number): Expectation<number> {
  return expected(`${DURATION}, from ${leastMs}ms to 14d`, (value) => {
    const ms = parseDuration(value)
    return ms !== undefined && ms >= leastMs && ms <= LONGEST_WAIT_MS ? ms : undefined
  })
}

export const directory = expected('a directory, an absolute path', absolutePath)

export const secretFile = expected('a file, an absolute path, or "credential:NAME"', (value) =>
  typeof value === 'string' && isCredential(value) ? value : absolutePath(value),
)

export function wholeNumber(least: number, most: number): Expectation<number> {
  return expected(`a whole number from ${least} to ${most}`, (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
      ? value
      : undefined,
  )
}

export const storeUrl: Expectation<string> = {
  problemOf: (value) => urlProblem(value) ?? '',
  read: (value) => (urlProblem(value) === undefined ? String(value) : undefined),
}

export const destinationName = expected('a name of letters, digits, ".", "-" and "_"', (value) =>
  typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value) ? value : undefined,
)

export const gcRootsDirectory = expected('a directory, an absolute path, or "" for no GC roots', (value) =>
  typeof value === 'string' && (value === '' || value.startsWith('/')) ? value : undefined,
)

export const globs = expected('a list of globs such as ["*-source", "nixos-system-*"]', (value) =>
  Array.isArray(value) && value.every((glob) => typeof glob === 'string' && glob !== '')
    ? value.map(String)
    : undefined,
)

export const commandLine = expected(
  'a program and its arguments, such as ["attic", "push", "main"]',
  (value) => {
    if (!Array.isArray(value) || !value.every((word) => typeof word === 'string' && !word.includes('\0')))
      return undefined
    const [program, ...rest] = value.map(String)
    const argv: readonly [string, ...string[]] | undefined = program ? [program, ...rest] : undefined
    return argv
  },
)

export const trueOrFalse = expected('true or false', (value) =>
  typeof value === 'boolean' ? value : undefined,
)

export const upstreams = expected(
  'a list of key names and cache URLs such as ["cache.nixos.org-1", "https://cache.example.org"]',
  (value) =>
    Array.isArray(value) &&
    value.every(
      (item) =>
        typeof item === 'string' &&
        (/^[^\s:/]+$/.test(item) ||
          (/^https?:\/\/[^\s@]+$/.test(item) && storeUrlProblem(item) === undefined)),
    )
      ? value.map(String)
      : undefined,
)

export const size = expected('a size such as "500M" or "2GiB"', parseSize)

export const rate = expected('a size per second such as "500K" or "2M"', (value) => {
  const bytes = parseSize(value)
  return bytes !== undefined && bytes >= 1 ? bytes : undefined
})

/** One of some words. */
export function oneOf<const Word extends string>(
  words: readonly Word[],
  said = `one of ${words.join(', ')}`,
): Expectation<Word> {
  return expected(said, (value) => words.find((word) => word === value))
}

/** Keys without effect may have any value. */
export const retired: Expectation<{ was: unknown }> = { problemOf: () => '', read: (was) => ({ was }) }

export const metricsFile = expected('a file, an absolute path that ends in .prom', (value) => {
  const path = absolutePath(value)
  return path !== undefined && /[^/]\.prom$/.test(path) ? path : undefined
})

export const address = expected('an address and a port such as "127.0.0.1:9850" or "[::1]:9850"', (value) => {
  if (typeof value !== 'string') return undefined
  const [, v6, v4 = '', port] = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(value) ?? []
  return Number(port) > 0 && Number(port) < 65536 ? { host: v6 ?? v4, port: Number(port) } : undefined
})

export const sections = expected(
  '[[destination]] sections (two pairs of brackets)',
  (value): unknown[] | undefined => (Array.isArray(value) ? value : undefined),
)

function absolutePath(value: unknown): string | undefined {
  return typeof value === 'string' && value.startsWith('/') && !value.includes('\0') ? value : undefined
}

function urlProblem(value: unknown): string | undefined {
  if (typeof value !== 'string') return 'expected a store URL such as "s3://my-cache"'
  return storeUrlProblem(value) ?? parameterProblem(value)
}
