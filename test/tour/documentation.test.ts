import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'smol-toml'
import { describe, expect, test } from 'vitest'
import { DEFAULTS } from '../../src/config/config.ts'
import { checkFile, KEYS } from '../../src/config/schema.ts'

const MANUAL = readFileSync(join(import.meta.dirname, '../../docs/CONFIGURATION.md'), 'utf8')

/** The rows of the table below a heading: the key, and its default in TOML where it has one. */
function documented(heading: string): Map<string, string> {
  const [section = ''] = MANUAL.slice(MANUAL.indexOf(`### ${heading}`) + 4).split('\n#')
  const rows = section.matchAll(/^\| `([a-z-]+)` \| (?:`(.*?)`)? ?\|/gm)
  return new Map([...rows].map(([, key = '', value = '']) => [key, value]))
}

/** What a file comes to that says in so many words what the manual calls the defaults. */
function saidAloud(...tables: Map<string, string>[]) {
  const [top, destination] = tables.map((table) =>
    [...table].flatMap(([key, value]) => (value === '' ? [] : [`${key} = ${value}`])).join('\n'),
  )
  return checkFile(parse(`${top}\n[[destination]]\nto = "file:///x"\n${destination}\n`))
}

describe('docs/CONFIGURATION.md', () => {
  const top = documented('Above the first')
  const destination = documented('In a')

  test('has every key of the file, and none that is unknown', () => {
    const known = KEYS.top.filter((key) => key !== 'destination')
    expect([...top.keys()].sort()).toEqual(known.sort())
    expect([...destination.keys()].sort()).toEqual(KEYS.destination.toSorted())
  })

  test('states every default', () => {
    const unsaid = checkFile({
      // These have their defaults elsewhere, since something else may come before them.
      spool: DEFAULTS.spool,
      gcroots: DEFAULTS.gcroots,
      destination: [{ to: 'file:///x', name: 'default', paths: 'arguments' }],
    })
    expect(saidAloud(top, destination)).toEqual(unsaid)
    expect(unsaid).toHaveProperty('file')
  })
})
