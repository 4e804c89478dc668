import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadConfig, type Overrides } from '../../src/config/load.ts'
import { EXIT } from '../../src/util/user-error.ts'
import { tempDir, unprivileged } from '../spool/temp-spool.ts'
import { complaint, complaintOf } from './complaint.ts'

const S3 = '[[destination]]\nto = "s3://cache"\n'

describe('a file that can’t be read (exit 78)', () => {
  test('that is not TOML is said with line and column', async () => {
    expect(await complaint('spool = "/x"\nspool = "/y"\n')).toMatch(/^FILE, line 2, column \d+: not TOML: \w/)
  })

  test.each([
    ['log-level = warn', 'invalid value; a text needs quotes: key = "text"'],
    ['keep-done = 30d', 'illegal character in numeric literal; a text needs quotes: key = "text"'],
    [
      'spool = "/x\nkeep-done = 1',
      'control characters are not allowed in strings; is a closing quote missing?',
    ],
    ['spool: /x', 'illegal character in key; expected key = value or [[destination]]'],
    ['[destination', 'illegal character in key; expected key = value or [[destination]]'],
  ])('and is said with what may be the reason: %j', async (toml, says) => {
    const said = await complaint(`rescan-interval = 5\n${toml}\n`)
    expect(said.replace(/, column \d+/, '')).toBe(`FILE, line 2: not TOML: ${says}`)
  })

  test('that was asked for and is missing, or is no file, or may not be read', async () => {
    const dir = tempDir()
    const config = join(dir, 'config.toml')
    const load = () => loadConfig({ config }, {})
    expect(await complaintOf(load)).toBe(`can't read the configuration: no such file or directory: ${config}`)
    writeFileSync(config, '')
    chmodSync(config, 0o000)
    expect(await complaintOf(() => unprivileged(dir, load))).toBe(
      `can't read the configuration: permission denied: ${config}`,
    )
    mkdirSync(join(dir, 'directory'))
    const directory = await complaintOf(() => loadConfig({ config: join(dir, 'directory') }, {}))
    expect(directory).toMatch(
      /^can't read the configuration: it is a directory, not a regular file: .*\/directory$/,
    )
  })
})

describe('flags that will not do (exit 2)', () => {
  test.each<[flags: Overrides, message: RegExp]>([
    [{ to: 'ftp://x' }, /^--to: expected a store URL: .*, got "ftp:\/\/x"$/],
    [{ to: '' }, /^--to: expected a store URL: .*, got ""$/],
    [{ to: '/srv/cache' }, /^--to: expected a store URL: "file:\/\/\/srv\/cache" for a binary cache, .*/],
    [
      { secretKeyFile: '/key' },
      /^--secret-key-file needs --to; the destinations in FILE have their own keys$/,
    ],
    [{ spool: '' }, /^--spool: expected a path, got ""$/],
    [{ to: 's3://x', secretKeyFile: '' }, /^--secret-key-file: expected a path, got ""$/],
    [{ config: '' }, /^--config: expected a path, got ""$/],
  ])('%o', async (flags, message) => {
    expect(await complaint(S3, flags, EXIT.usage)).toMatch(message)
  })
})

test('a key where its file belongs is refused, and not repeated either', async () => {
  for (const [key, value] of [
    ['secret-key-file', 'cache.example-1:bm90IGEga2V5'],
    ['netrc-file', 'machine cache.example login me password bm90IGEga2V5'],
  ]) {
    const refusal = await complaint(`[[destination]]\nto = "s3://x"\n${key} = "${value}"`)
    expect(refusal).toContain(`destination[0].${key}: expected a file`)
    expect(refusal).not.toContain('bm90')
  }
})

test('a password in a URL is refused, and not repeated for whoever reads the log', async () => {
  const url = 'https://me:hunter2@cache.example/x'
  const refusals = [
    await complaint(`[[destination]]\nto = "${url}"`),
    await complaint('', { to: url }, EXIT.usage),
  ]
  for (const refusal of refusals) {
    expect(refusal).toMatch(
      /a password in the URL could be read by .*, got "https:\/\/me:…@cache\.example\/x"$/,
    )
  }
})

test.each(['NIX_UPLOAD_SPOOL', 'NIX_UPLOAD_GCROOTS'])(
  'a relative %s is refused, as the hook refuses it: they would mean two places',
  async (name) => {
    const load = () => loadConfig({}, { [name]: 'here' })
    expect(await complaintOf(load)).toBe(`${name}: expected an absolute path, got "here"`)
  },
)
