// The manual pages are made out of docs/ and the commands' own help, and must be brought up to date with `npm run man`.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { commands, pages } from '../../man/pages.ts'
import { roffOf, wrap } from '../../man/roff.ts'
import { KEYS } from '../../src/config/schema.ts'
import { runProgram } from '../support/run.ts'

const MAN = join(import.meta.dirname, '../../man')
const made = await pages()
/** Bold and underlined, as typewriters did it. */
const OVERSTRUCK = new RegExp(`.${String.fromCharCode(8)}`, 'gu')

/** A page as a terminal shows it, without bold and underlined, on one line. */
async function shown(name: string): Promise<string> {
  const { stdout } = await runProgram('mandoc', ['-Tutf8', '-O', 'width=200', join(MAN, name)], {})
  return stdout.replaceAll(OVERSTRUCK, '').replaceAll(/\s+/g, ' ')
}

describe.each([...made.keys()])('%s', (name) => {
  test('is up to date; if not, `npm run man` makes it so', () => {
    expect(readFileSync(join(MAN, name), 'utf8')).toBe(made.get(name))
  })

  test('is such that mandoc has nothing to say', async () => {
    const lint = await runProgram('mandoc', ['-Tlint', '-Wstyle', join(MAN, name)], {})
    expect(lint).toEqual({ stdout: '', stderr: '', exitCode: 0 })
  })

  test('is installed with the package', () => {
    const { man, files } = JSON.parse(readFileSync(join(MAN, '../package.json'), 'utf8'))
    expect(man).toContain(`man/${name}`)
    expect(files).toContain('man/*.[158]')
  })
})

test('nix-upload(1) has every command and every option, and the exit codes', async () => {
  const text = await shown('nix-upload.1')
  const usages = await commands()
  expect(usages.length).toBeGreaterThan(12)
  for (const usage of usages) {
    const [command = ''] = usage.split(' ')
    expect(text).toContain(`nix-upload ${command}`)
    const { stdout } = await runProgram(process.execPath, ['bin/nix-upload', command, '--help'], {
      cwd: join(MAN, '..'),
    })
    for (const [, option] of stdout.matchAll(/^ +(?:-\w, )?--([a-z-]+)/gm))
      expect(text).toContain(`--${option}`)
  }
  for (const code of [0, 1, 2, 75, 78]) expect(text).toMatch(new RegExp(`EXIT STATUS.* ${code} [A-Z]`))
})

test('nix-upload.toml(5) has every key', async () => {
  const text = await shown('nix-upload.toml.5')
  for (const key of [...KEYS.top, ...KEYS.destination]) expect(text).toContain(` ${key} `)
})

test('nix-upload-spool(5) has every state, transition and crash', async () => {
  const text = await shown('nix-upload-spool.5')
  for (const row of ['S1', 'S6', 'T1', 'T11', 'C1', 'C15']) expect(text).toContain(` ${row} `)
})

test('nix-upload-hook(8) has every variable that the hook reads, and none that only commands read', async () => {
  const text = await shown('nix-upload-hook.8')
  const hook = readFileSync(join(MAN, '../bin/nix-upload-hook'), 'utf8')
  const variables = new Set(hook.match(/NIX_UPLOAD_[A-Z]+|DRV_PATH|OUT_PATHS/g))
  expect(variables.size).toBeGreaterThan(4)
  for (const variable of variables) expect(text).toContain(variable)
  for (const others of ['NO_COLOR', 'WATCHDOG_USEC', 'NIX_UPLOAD_CONFIG']) expect(text).not.toContain(others)
})

describe('Markdown in the language of manual pages', () => {
  test.each([
    [
      'a paragraph with `--code`, **strong** and *emphasis*',
      'a paragraph with \\fB\\-\\-code\\fR, \\fBstrong\\fR and \\fIemphasis\\fR',
    ],
    ['a [link](SPOOL.md) and [another](https://nixos.org)', 'a link and another (https://nixos.org)'],
    ['.hidden \\\\ and <b', '\\&.hidden \\e and <b'],
  ])('%s', (markdown, roff) => {
    expect(roffOf(markdown)).toBe(`.PP\n${roff}\n`)
  })

  test('a table is a list of terms, with the meaning first', () => {
    const table =
      '| key | default | meaning |\n|---|---|---|\n| `a` | `1` | The first. |\n| `b` | | The second. |\n'
    expect(roffOf(table)).toBe(
      '.TP\n\\fBa\\fR\nThe first.\n.br\n\\fIdefault\\fR: \\fB1\\fR\n.TP\n\\fBb\\fR\nThe second.\n',
    )
  })

  test('what has no rule is an error, not a hole in the page', () => {
    expect(() => roffOf('> a quotation')).toThrow('there is no rule for blockquote')
  })

  test('lines are not too long, and none is taken for a request', () => {
    const lines = wrap(`${'word '.repeat(15)}...`.repeat(5)).split('\n')
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80)
    expect(lines.filter((line) => line.startsWith('.'))).toEqual([])
  })
})
