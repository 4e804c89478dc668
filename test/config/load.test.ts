import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/config/config.ts'
import { loadConfig, type Overrides } from '../../src/config/load.ts'
import { fileOf } from '../../src/config/store-url.ts'
import { tempDir } from '../spool/temp-spool.ts'

/** Loads what a file says; with other settings beside it. */
function load(toml: string, overrides: Overrides = {}, env: NodeJS.ProcessEnv = {}): Promise<Config> {
  const config = join(tempDir(), 'config.toml')
  writeFileSync(config, toml)
  return loadConfig({ config, ...overrides }, env)
}

const minutes = (count: number) => count * 60_000
const S3 = '[[destination]]\nto = "s3://cache"\n'

describe('every setting has its default', () => {
  test('where nothing is said at all', async () => {
    expect(await load('')).toMatchObject({
      spool: '/var/spool/nix-upload',
      gcroots: '/nix/var/nix/gcroots/nix-upload',
      destinations: [{ name: 'default', to: 'file:///var/spool/nix-upload-cache' }],
      rescanMs: 30_000,
      stopGraceMs: 60_000,
      keepDoneMs: 7 * 24 * minutes(60),
      keepDoneCount: 10_000,
      logLevel: 'info',
    })
  })

  const DESTINATION = {
    name: 'default',
    batchSize: 500,
    concurrency: 2,
    maxAttempts: 8,
    retryMinMs: 5_000,
    retryMaxMs: minutes(5),
    progressTimeoutMs: minutes(10),
    include: [],
    exclude: [],
    closure: true,
    derivations: false,
    logs: false,
    verify: false,
  }
  const OPTIONAL = ['secretKeyFile', 'netrcFile', 'maxSize', 'command']

  test.each<[from: string, toml: string, overrides: Overrides]>([
    ['a file', S3, {}],
    ['--to', '', { to: 's3://cache' }],
  ])('of a destination, from %s', async (_from, toml, overrides) => {
    const { destinations } = await load(toml, overrides)
    expect(destinations).toEqual([expect.objectContaining({ ...DESTINATION, to: 's3://cache' })])
    for (const key of OPTIONAL) expect(destinations[0]).not.toHaveProperty(key)
  })
})

test.each<[line: string, config: Partial<Config>]>([
  ['spool = "/srv/spool"', { spool: '/srv/spool' }],
  ['spool = "/srv/spool/"', { spool: '/srv/spool' }],
  ['gcroots = "/srv/roots"', { gcroots: '/srv/roots' }],
  ['gcroots = ""', { gcroots: '' }],
  ['rescan-interval = "5m"', { rescanMs: minutes(5) }],
  ['rescan-interval = 10', { rescanMs: 10_000 }],
  ['stop-grace = "0s"', { stopGraceMs: 0 }],
  ['keep-done = "365d"', { keepDoneMs: 365 * 24 * minutes(60) }],
  ['keep-done-count = 0', { keepDoneCount: 0 }],
  ['log-level = "debug"', { logLevel: 'debug' }],
  ['metrics-file = "/srv/nix-upload.prom"', { metricsFile: '/srv/nix-upload.prom' }],
  ['metrics-listen = "127.0.0.1:9850"', { metricsListen: { host: '127.0.0.1', port: 9850 } }],
  ['metrics-listen = "[::1]:9850"', { metricsListen: { host: '::1', port: 9850 } }],
])('%s', async (line, config) => {
  expect(await load(line)).toMatchObject(config)
})

test.each<[line: string, destination: object]>([
  ['name = "my-cache_1.example"', { name: 'my-cache_1.example' }],
  ['secret-key-file = "/etc/key"', { secretKeyFile: '/etc/key' }],
  ['netrc-file = "/etc/netrc"', { netrcFile: '/etc/netrc' }],
  ['batch-size = 1', { batchSize: 1 }],
  ['concurrency = 64', { concurrency: 64 }],
  ['max-attempts = 1000', { maxAttempts: 1000 }],
  ['retry-min = "1s"', { retryMinMs: 1000 }],
  ['retry-max = "1h"', { retryMaxMs: minutes(60) }],
  ['progress-timeout = "1h"', { progressTimeoutMs: minutes(60) }],
  ['include = ["hello-*"]', { include: ['hello-*'] }],
  ['exclude = ["*-source"]', { exclude: ['*-source'] }],
  ['max-size = "2GiB"', { maxSize: 2 * 1024 ** 3 }],
  ['derivations = true', { derivations: true }],
  ['logs = true', { logs: true }],
  ['verify = true', { verify: true }],
])('[[destination]] %s', async (line, destination) => {
  expect((await load(`${S3}${line}`)).destinations).toMatchObject([destination])
})

describe('flags come before the environment, that before the file, and that before the defaults', () => {
  const env = { NIX_UPLOAD_SPOOL: '/env/spool', NIX_UPLOAD_GCROOTS: '/env/roots' }
  const toml = 'spool = "/file/spool"\ngcroots = "/file/roots"'

  test.each<
    [what: string, overrides: Overrides, env: NodeJS.ProcessEnv, toml: string, expected: Partial<Config>]
  >([
    ['--spool', { spool: '/flag/spool' }, env, toml, { spool: '/flag/spool', gcroots: '/env/roots' }],
    ['the environment', {}, env, toml, { spool: '/env/spool', gcroots: '/env/roots' }],
    ['the file', {}, {}, toml, { spool: '/file/spool', gcroots: '/file/roots' }],
    ['a set but empty NIX_UPLOAD_SPOOL', {}, { NIX_UPLOAD_SPOOL: '' }, toml, { spool: '/file/spool' }],
    [
      'a set but empty NIX_UPLOAD_GCROOTS, which turns roots off',
      {},
      { NIX_UPLOAD_GCROOTS: '' },
      toml,
      { gcroots: '' },
    ],
  ])('%s', async (_what, overrides, environment, text, expected) => {
    expect(await load(text, overrides, environment)).toMatchObject(expected)
  })

  test('--to replaces all destinations, and takes --secret-key-file from where one is', async () => {
    const { destinations } = await load(`${S3}name = "s3"\n`, { to: 'ssh://host', secretKeyFile: 'key' })
    expect(destinations).toMatchObject([
      { name: 'default', to: 'ssh://host', secretKeyFile: join(process.cwd(), 'key') },
    ])
  })

  test('the embedded default lies beside the spool, and takes --secret-key-file too', async () => {
    const { destinations } = await load('', { spool: '/srv/spool', secretKeyFile: '/key' })
    expect(destinations).toMatchObject([{ to: 'file:///srv/spool-cache', secretKeyFile: '/key' }])
    const [odd] = (await load('', { spool: '/srv/100%/a?b#c' })).destinations
    expect(fileOf(odd?.to ?? '')).toBe('/srv/100%/a?b#c-cache')
  })

  test('a relative --spool is taken from where one is', async () => {
    expect((await load('', { spool: 'spool' })).spool).toBe(join(process.cwd(), 'spool'))
  })
})

test('where a file was read, it is known which', async () => {
  expect((await load('')).source).toMatch(/\/config\.toml$/)
})
