// What fuzzers make: valid things with something wrong in them, since what is wrong all over is refused at once.

import fc from 'fast-check'
import { storePath } from '../spool/temp-spool.ts'

/** Characters that mean something to somebody: shells, terminals, JSON, TOML, Nix, URLs, file systems. */
const ODD = [
  ...[
    '-',
    '--',
    '--option',
    '-rf',
    '/',
    '//',
    '/..',
    '/.',
    '..',
    '\0',
    '\n',
    '\r',
    '\t',
    ' ',
    '\u001b[2J',
    '\u009b',
    '\u007f',
  ],
  ...[
    '\u202e',
    '\u2028',
    '\u00ad',
    '\ufeff',
    '"',
    "'",
    '\\',
    '`',
    '$(reboot)',
    ';',
    '&',
    '|',
    '*',
    '?',
    '[',
    ']',
    '{',
    '}',
  ],
  ...[
    '%20',
    '@',
    ':',
    '=',
    '#',
    'é',
    '💥',
    '\ud800',
    '__proto__',
    'constructor',
    '1e999',
    '-0',
    '0x',
    '_',
    '+',
    '.drv',
  ],
]
const odd = fc.oneof(fc.constantFrom(...ODD), fc.string({ unit: 'binary', maxLength: 3 }))

/** Some text with odd things put in, or parts left out, at a few places. */
export function spoilt(text: fc.Arbitrary<string>, edits = 3): fc.Arbitrary<string> {
  const edit = fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), cut: fc.nat(4), put: odd })
  return fc.tuple(text, fc.array(edit, { maxLength: edits })).map(([whole, all]) =>
    all.reduce((soFar, { at, cut, put }) => {
      const start = Math.floor(at * soFar.length)
      return soFar.slice(0, start) + put + soFar.slice(start + cut)
    }, whole),
  )
}

export const NAMES = [
  'hello-2.12.1',
  'x',
  '-rf',
  '--option',
  '.hidden',
  '...',
  '=',
  '?a=b',
  `n${'x'.repeat(210)}`,
]
export const names = fc.constantFrom(...NAMES)
export const goodPaths = names.map(storePath)
export const paths = fc.oneof(
  { weight: 3, arbitrary: goodPaths },
  { weight: 1, arbitrary: spoilt(goodPaths, 2) },
)

const record = fc.record(
  {
    state: fc.constantFrom<unknown>('waiting', 'done', 'skipped', 'failed', 'lost', 1),
    attempts: fc.oneof(fc.integer(), fc.double(), fc.string()),
    error: fc.oneof(spoilt(fc.constant('HTTP error 500')), fc.jsonValue()),
    lastAttemptAt: fc.oneof(fc.string(), fc.constant('2026-11-22T03:14:02Z')),
    settledAt: fc.string(),
    note: fc.string(),
    more: fc.jsonValue(),
  },
  { requiredKeys: [] },
)
const records = fc.dictionary(
  fc.oneof(fc.constantFrom('default', '__proto__', 'constructor'), fc.string()),
  record,
  {
    maxKeys: 4,
  },
)

/** JSON objects that are jobs, or nearly. */
export const jobs = fc.record(
  {
    version: fc.constantFrom<unknown>(1, 1, 1, 2, '1', null),
    outPaths: fc.oneof(
      fc.array<unknown>(paths, { maxLength: 4 }),
      fc.array(fc.jsonValue(), { maxLength: 2 }),
    ),
    drvPath: fc.oneof(
      goodPaths.map((path) => `${path}.drv`),
      paths,
    ),
    queuedAt: fc.oneof(
      fc.constant('2026-11-22T03:14:02Z'),
      spoilt(fc.constant('2026-11-22T03:14:02Z')),
      fc.jsonValue(),
    ),
    destinations: fc.oneof(records, fc.jsonValue()),
    history: fc.oneof(
      fc.array(fc.record({ requeuedAt: fc.string(), destinations: records }), { maxLength: 30 }),
      fc.jsonValue(),
    ),
    __proto__: fc.jsonValue(),
    mine: fc.jsonValue(),
  },
  { requiredKeys: ['outPaths'] },
)

export const urls = fc.oneof(
  fc.constantFrom(
    ...[
      'file:///var/cache',
      'http://cache.example:8080/nix',
      'https://me@cache.example/x?y=z',
      's3://bucket?region=eu-west-1',
    ],
    ...[
      'ssh://builder',
      'ssh-ng://root@builder',
      'unix:///run/socket',
      'local?root=/mnt',
      'daemon',
      '-x',
      'ssh://-oProxyCommand=x',
    ],
  ),
)

export const TOML = `spool = "/srv/spool"
gcroots = ""
rescan-interval = "30s"
keep-done = "7d"
keep-done-count = 10
log-level = "info"

[[destination]]
name = "one"
to = "s3://bucket?region=eu-west-1"
secret-key-file = "/etc/nix/key"
netrc-file = "credential:netrc"
include = ["*-source"]
max-size = "2GiB"
batch-size = 500
closure = true
retry-min = "5s"

[[destination]]
name = "two"
command = ["attic", "push", "main"]
paths = "stdin"
`
