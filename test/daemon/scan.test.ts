import { mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Scan } from '../../src/daemon/scan.ts'
import { tempDir } from '../spool/temp-spool.ts'

function withFiles(count: number) {
  const dir = tempDir()
  const names = Array.from({ length: count }, (_, at) => `${at}.json`)
  for (const name of names) writeFileSync(join(dir, name), '')
  return { dir, names, scan: new Scan(dir) }
}

/** Reads until it is through, doing to each name what is told. */
function readAll(scan: Scan, became: (name: string) => 'taken' | 'left' | 'gone'): string[] {
  const names: string[] = []
  for (let name = scan.next(); name !== undefined; name = scan.next()) {
    names.push(name)
    scan.note(became(name))
  }
  return names
}

test('gives every name once, then is through', () => {
  const { names, scan } = withFiles(1500)
  expect(scan.isThrough).toBe(false)
  expect(readAll(scan, () => 'left').sort()).toEqual([...names].sort())
  expect([scan.isThrough, scan.left, scan.next()]).toEqual([true, 1500, undefined])
})

test('gives what is left once more where something was taken: there may be room for it now', () => {
  const { dir, scan } = withFiles(3)
  const seen = readAll(scan, (name) => {
    if (name !== '0.json') return 'left'
    rmSync(join(dir, name))
    return 'taken'
  })
  expect(seen.toSorted()).toEqual(['0.json', '1.json', '1.json', '2.json', '2.json'])
  expect(scan.left).toBe(2)
})

test('is through after what was gone, which is no reason to look again', () => {
  const { scan } = withFiles(3)
  expect(readAll(scan, () => 'gone')).toHaveLength(3)
  expect([scan.isThrough, scan.left]).toEqual([true, 0])
})

test('goes on where it stopped', () => {
  const { names, scan } = withFiles(10)
  const first = [scan.next(), scan.next()]
  for (const _ of first) scan.note('left')
  const rest = readAll(scan, () => 'left')
  expect([...first, ...rest].sort()).toEqual([...names].sort())
})

test('reads on once something changed, and finds what came', () => {
  const { dir, scan } = withFiles(1)
  readAll(scan, () => 'left')
  writeFileSync(join(dir, 'new.json'), '')
  expect(scan.next()).toBeUndefined()
  scan.lookAgain()
  expect(readAll(scan, () => 'left').sort()).toEqual(['0.json', 'new.json'])
})

test('reads once more where something changed in the midst of reading: it may have been behind', () => {
  const { scan } = withFiles(3)
  scan.next()
  scan.note('left')
  scan.lookAgain()
  expect(readAll(scan, () => 'left')).toHaveLength(2 + 3)
  expect(scan.isThrough).toBe(true)
})

test('an empty directory is through at once; one that is missing is an error, and read again when it is back', () => {
  const { dir, scan } = withFiles(0)
  expect([scan.next(), scan.isThrough, scan.left]).toEqual([undefined, true, 0])
  rmdirSync(dir)
  scan.lookAgain()
  expect(() => scan.next()).toThrow('ENOENT')
  mkdirSync(dir)
  writeFileSync(join(dir, 'X.json'), '')
  expect(scan.next()).toBe('X.json')
  scan.close()
  scan.close()
})

test('knows how long a whole pass took', () => {
  const { scan } = withFiles(2000)
  expect(scan.lastPassMs).toBe(0)
  readAll(scan, () => 'left')
  expect(scan.lastPassMs).toBeGreaterThan(0)
})
