// The rooms of src/, and who may know whom: each room knows only those below it, and no two files know each other.

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const SRC = resolve(import.meta.dirname, '../src')

/** From the top; those of one line know nothing of each other. */
const ROOMS = [
  ['cli'],
  ['daemon'],
  ['delivery'],
  ['cache', 'spool'],
  ['transport'],
  ['nix'],
  ['config'],
  ['util'],
]

/** Relative imports of a file, types and those made later included. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(SRC, file), 'utf8')
  const found = text.matchAll(/(?:from|import\(|import) ?\(?'(\.{1,2}\/[^']+)'/g)
  return [...found].map(([, path = '']) => relative(SRC, resolve(SRC, dirname(file), path)))
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
const imports = new Map(files.map((file) => [file, importsOf(file)]))
const roomOf = (file: string) => file.split('/')[0] ?? ''
const levelOf = (file: string) => ROOMS.findIndex((rooms) => rooms.includes(roomOf(file)))

test('every file is in a room', () => {
  expect(files.length).toBeGreaterThan(100)
  expect(files.filter((file) => levelOf(file) === -1)).toEqual([])
})

test('no room knows one above it or beside it', () => {
  const up = [...imports].flatMap(([file, targets]) =>
    targets
      .filter((target) => roomOf(target) !== roomOf(file) && levelOf(target) <= levelOf(file))
      .map((target) => `${file} → ${target}`),
  )
  expect(up).toEqual([])
})

test('the transports know nothing of Nix', () => {
  const known = files
    .filter((file) => roomOf(file) === 'transport')
    .flatMap((file) => imports.get(file) ?? [])
  expect(known.filter((target) => ['nix', 'spool'].includes(roomOf(target)))).toEqual([])
})

test('there is no circle', () => {
  const circles: string[] = []
  const done = new Set<string>()
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
    if (path.includes(file) || done.has(file)) return
    for (const target of imports.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  expect(circles).toEqual([])
})
