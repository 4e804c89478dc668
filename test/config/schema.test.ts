import { describe, expect, test } from 'vitest'
import { complaint } from './complaint.ts'

const S3 = '[[destination]]\nto = "s3://cache"\n'
const DURATION = 'expected a duration such as "30s", "5m", "12h" or "7d"'

describe('a value that will not do is named with what was expected and what came (exit 78)', () => {
  test.each<[toml: string, message: string]>([
    ['spool = "relative"', 'spool: expected a directory, an absolute path, got "relative"'],
    ['spool = 5', 'spool: expected a directory, an absolute path, got 5'],
    ['spool = ""', 'spool: expected a directory, an absolute path, got ""'],
    [
      'gcroots = "relative"',
      'gcroots: expected a directory, an absolute path, or "" for no GC roots, got "relative"',
    ],
    ['rescan-interval = "soon"', `rescan-interval: ${DURATION}, from 1ms to 14d, got "soon"`],
    ['keep-done = true', `keep-done: ${DURATION}, got true`],
    ['keep-done-count = 1.5', 'keep-done-count: expected a whole number from 0 to 10000000, got 1.5'],
    ['keep-done-count = "1"', 'keep-done-count: expected a whole number from 0 to 10000000, got "1"'],
    [
      'log-level = "loud"',
      'log-level: expected one of trace, debug, info, warn, error, fatal, silent, got "loud"',
    ],
    [
      `${S3}name = "../x"`,
      'destination[0].name: expected a name of letters, digits, ".", "-" and "_", got "../x"',
    ],
    [`${S3}name = ""`, 'destination[0].name: expected a name of letters, digits, ".", "-" and "_", got ""'],
    [
      `${S3}secret-key-file = "key"`,
      'destination[0].secret-key-file: expected a file, an absolute path, or "credential:NAME", got something that is not shown, as it may be the secret itself',
    ],
    [
      'metrics-file = "/var/lib/metrics.txt"',
      'metrics-file: expected a file, an absolute path that ends in .prom, got "/var/lib/metrics.txt"',
    ],
    ...['9850', '"9850"', '"127.0.0.1:0"', '"::1:9850"', '"localhost:99999"'].map(
      (value): [string, string] => [
        `metrics-listen = ${value}`,
        `metrics-listen: expected an address and a port such as "127.0.0.1:9850" or "[::1]:9850", got ${value}`,
      ],
    ),
    [`${S3}batch-size = 0`, 'destination[0].batch-size: expected a whole number from 1 to 5000, got 0'],
    [`${S3}max-attempts = -1`, 'destination[0].max-attempts: expected a whole number from 1 to 1000, got -1'],
    [
      `${S3}include = "*"`,
      'destination[0].include: expected a list of globs such as ["*-source", "nixos-system-*"], got "*"',
    ],
    [`${S3}max-size = "big"`, 'destination[0].max-size: expected a size such as "500M" or "2GiB", got "big"'],
    [`${S3}verify = "yes"`, 'destination[0].verify: expected true or false, got "yes"'],
    ['[[destination]]\nto = 5', 'destination[0].to: expected a store URL such as "s3://my-cache", got 5'],
    [
      '[[destination]]\nto = "ftp://x"',
      'destination[0].to: expected a store URL: file://, http://, https://, s3://, ssh://, ssh-ng://, unix:// or local?root=, got "ftp://x"',
    ],
    ['[[destination]]\nname = "x"', 'destination[0]: expected either "to" or "command", got neither'],
    [`${S3}command = ["x"]`, 'destination[0]: expected either "to" or "command", got both'],
    [
      '[[destination]]\nto = "ssh://x"\nmax-rate = "1M"',
      'destination[0]: "max-rate" is for http://, https:// and s3:// without "via = "nix""',
    ],
    [
      `${S3}max-rate = 0`,
      'destination[0].max-rate: expected a size per second such as "500K" or "2M", got 0',
    ],
    [`${S3}via = "x"`, 'destination[0].via: expected "nix", got "x"'],
    [`${S3}paths = "stdin"`, 'destination[0]: "paths" goes with "command"'],
    [
      `${S3}closure = false`,
      'destination[0]: "closure = false" is refused by binary caches, which must hold every dependency',
    ],
    [
      '[[destination]]\ncommand = "x"',
      'destination[0].command: expected a program and its arguments, such as ["attic", "push", "main"], got "x"',
    ],
    [
      '[[destination]]\ncommand = []',
      'destination[0].command: expected a program and its arguments, such as ["attic", "push", "main"], got []',
    ],
    [
      '[destination]\nto = "s3://x"',
      'destination: expected [[destination]] sections (two pairs of brackets), got {"to":"s3://x"}',
    ],
    [
      'destination = "s3://x"',
      'destination: expected [[destination]] sections (two pairs of brackets), got "s3://x"',
    ],
    [`${S3}${S3}name = "b"`, 'destination[0].name: expected a name, since there are several destinations'],
    [`${S3}name = "a"\n${S3}name = "a"`, 'destination: expected different names; "a" is there twice'],
  ])('%j', async (toml, message) => {
    expect(await complaint(toml)).toBe(`FILE: ${message}`)
  })

  test.each(['rescan-interval', 'stop-grace'])('%s may not be longer than a timer can run', async (key) => {
    expect(await complaint(`${key} = "30d"`)).toMatch(/expected a duration .* 14d.*, got "30d"$/)
  })

  test.each(['retry-min', 'retry-max', 'progress-timeout'])(
    'nor may %s, nor may it be nothing',
    async (key) => {
      expect(await complaint(`${S3}${key} = "30d"`)).toMatch(/expected a duration .* 14d.*, got "30d"$/)
      expect(await complaint(`${S3}${key} = 0`)).toMatch(/expected a duration .* 1ms .*, got 0$/)
    },
  )

  test('all of them are named at once, one a line', async () => {
    expect(await complaint('spool = 5\nlog-level = 6\nbogus-key = 7')).toMatch(/^FILE:(\n {2}.+){3}$/)
  })
})

describe('a key that is not known is named with what was meant', () => {
  test.each<[toml: string, message: string]>([
    ['spol = "/x"', 'unknown key spol; did you mean "spool"?'],
    ['keep_done = "7d"', 'unknown key keep_done; did you mean "keep-done"?'],
    ['Log-Level = "info"', 'unknown key Log-Level; did you mean "log-level"?'],
    [`${S3}batchsize = 5`, 'unknown key destination[0].batchsize; did you mean "batch-size"?'],
    ['to = "s3://x"', 'unknown key to; it belongs in a [[destination]]'],
    [
      `${S3}keep-done = "7d"`,
      'unknown key destination[0].keep-done; it belongs above the first [[destination]]',
    ],
    [`${S3}colour = "red"`, 'unknown key destination[0].colour; known here: name, to, '],
    // The keys of older versions are still read, but nobody is sent there.
    [`${S3}colour = "red"`, 'include, exclude, max-size, closure, derivations, logs, verify, batch-size'],
    ['destinations = []', 'unknown key destinations; did you mean "destination"?'],
  ])('%j', async (toml, message) => {
    expect(await complaint(toml)).toMatch(/^FILE: unknown key /)
    expect(await complaint(toml)).toContain(message)
  })
})
