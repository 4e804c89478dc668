import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'smol-toml'
import { describe, expect, test } from 'vitest'
import { commands } from '../../man/pages.ts'
import { helpOf } from '../../src/cli/grammar.ts'
import { checkFile } from '../../src/config/schema.ts'
import { NOT_TYPED, printed } from './readme-page.ts'

const ROOT = join(import.meta.dirname, '../..')
const PAGES = [
  'README.md',
  'docs/CI.md',
  'docs/INIT.md',
  'docs/MONITORING.md',
  'docs/NIXOS.md',
  'docs/SYSTEMD.md',
]

/** The tests that type what a section of README.md prints. In each section they insist on all of it. */
const TYPISTS = ['test/tour/readme-commands.test.ts', 'test/systemd/init.test.ts', 'test/deb/booted.test.ts']

/** The blocks of code of a kind in a page. */
function blocks(page: string, kind: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8')
  return [...text.matchAll(new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    ([, code = '']) => code,
  )
}

describe.each(PAGES)('%s', (page) => {
  test('has configuration that is accepted', () => {
    for (const toml of blocks(page, 'toml')) expect(checkFile(parse(toml))).toHaveProperty('file')
  })

  test('names commands and options that there are', async () => {
    const known = new Set((await commands()).map((usage) => usage.split(' ')[0]))
    const lines = blocks(page, 'sh').flatMap((code) => code.split('\n'))
    for (const line of lines) {
      const [, command, rest = ''] =
        /(?:^|[;&|-] )nix-upload ([a-z-]+)((?: (?!-- )[^#|]\S*)*)/.exec(line) ?? []
      if (command === undefined) continue
      expect([line, known.has(command)]).toEqual([line, true])
      const help = await helpOf([command])
      for (const option of rest.match(/--[a-z-]+/g) ?? [])
        expect([line, help]).toEqual([line, expect.stringContaining(option)])
    }
  })
})

test('the README is short: what docs/ has is linked', () => {
  expect(statSync(join(ROOT, 'README.md')).size).toBeLessThan(12 * 1024)
})

test('the README has an example for each kind of destination', () => {
  const text = blocks('README.md', 'toml').join('\n')
  for (const kind of ['s3://', 'ssh-ng://', 'https://', 'file://', 'command =']) expect(text).toContain(kind)
})

describe('every command that the README prints', () => {
  test('is typed by a test, or it is said why not', () => {
    const tests = TYPISTS.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n')
    const sections = [...tests.matchAll(/typeSection\(\s*'(.+?)'/g)].map(([, section]) => section)
    const left = printed().filter(({ section, command }) => {
      return !sections.includes(section) && !(command in NOT_TYPED)
    })
    expect(left).toEqual([])
  })

  test('is printed, if it is said why no test types it', () => {
    const commands = printed().map(({ command }) => command)
    expect(commands).toEqual(expect.arrayContaining(Object.keys(NOT_TYPED)))
  })
})
