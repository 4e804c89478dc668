import { existsSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { GcRoots, rootKey } from '../../src/nix/gc-roots.ts'
import { hashOf } from '../../src/nix/store-path.ts'
import { storePath, tempDir } from '../spool/temp-spool.ts'

const HELLO = storePath('hello')
const DOC = storePath('doc')

function tempRoots() {
  const directory = join(tempDir(), 'gcroots')
  const roots = new GcRoots(directory)
  roots.prepare()
  return { directory, roots }
}

describe('GC roots', () => {
  test('are symlinks KEY.HASH to the store paths, which need not exist', () => {
    const { directory, roots } = tempRoots()
    roots.hold('X.json', [HELLO, DOC])
    expect(readdirSync(directory).sort()).toEqual([`X.json.${hashOf(HELLO)}`, `X.json.${hashOf(DOC)}`].sort())
    expect(readlinkSync(join(directory, `X.json.${hashOf(HELLO)}`))).toBe(HELLO)
  })

  test('are named without the time that a job’s name begins with', () => {
    const { directory, roots } = tempRoots()
    const job = '20261122T031402Z-1b4e28ba2fa1-hello.json'
    roots.hold(job, [HELLO])
    expect(readdirSync(directory)).toEqual([`1b4e28ba2fa1-hello.json.${hashOf(HELLO)}`])
    roots.release(job, [HELLO])
    expect(readdirSync(directory)).toEqual([])
    expect(rootKey('20261122T031402Z-')).toBe('20261122T031402Z-')
  })

  test('are held once, however often that is asked for', () => {
    const { directory, roots } = tempRoots()
    roots.hold('X.json', [HELLO])
    expect(roots.hold('X.json', [HELLO, DOC, DOC])).toEqual([DOC])
    expect(readdirSync(directory)).toHaveLength(2)
  })

  test('are a job’s own: another job with the same path keeps its root', () => {
    const { directory, roots } = tempRoots()
    for (const job of ['X.json', 'X.json.Y']) roots.hold(job, [HELLO])
    roots.release('X.json', [HELLO, DOC])
    roots.release('X.json', [HELLO])
    expect(readdirSync(directory)).toEqual([`X.json.Y.${hashOf(HELLO)}`])
  })

  test('that can’t be made are an error, those that were made stay', () => {
    const { directory } = tempRoots()
    expect(() => new GcRoots(join(directory, 'missing')).hold('X.json', [HELLO])).toThrow('ENOENT')
  })

  test.each([222, 223, 250])(
    'of a job whose name has %i characters are its own, and go with it',
    (length) => {
      const { directory, roots } = tempRoots()
      const names = ['a', 'b'].map((end) => 'x'.repeat(length - 1) + end)
      for (const name of names) expect(roots.hold(name, [HELLO])).toEqual([HELLO])
      expect([...roots.entries()].map(({ key }) => key).sort()).toEqual(names.map(rootKey).sort())
      roots.release(names[0] ?? '', [HELLO])
      expect(readdirSync(directory)).toHaveLength(1)
    },
  )

  test('are listed by key; whatever else lies there is passed over', () => {
    const { directory, roots } = tempRoots()
    roots.hold('X.json', [HELLO])
    const path = join(directory, `X.json.${hashOf(HELLO)}`)
    symlinkSync(HELLO, join(directory, 'result'))
    symlinkSync(HELLO, join(directory, hashOf(HELLO)))
    writeFileSync(join(directory, `file.${hashOf(HELLO)}`), '')
    mkdirSync(join(directory, `directory.${hashOf(HELLO)}`))
    expect([...roots.entries()]).toEqual([{ key: 'X.json', path }])
  })

  test('may be removed while they are listed', () => {
    const { roots } = tempRoots()
    const jobs = Array.from({ length: 1000 }, (_, at) => `${at}.json`)
    for (const job of jobs) roots.hold(job, [HELLO])
    const listed: string[] = []
    for (const { key } of roots.entries()) {
      if (listed.length === 0) for (const other of jobs.slice(500)) roots.release(other, [HELLO])
      listed.push(key)
    }
    expect(listed).toEqual(expect.arrayContaining(jobs.slice(0, 500)))
  })
})

describe('the directory of the roots', () => {
  test('is made below Nix’s own, and nothing above it is', () => {
    const dir = tempDir()
    new GcRoots(join(dir, 'nix-upload')).prepare()
    new GcRoots(join(dir, 'nix-upload')).prepare()
    expect(readdirSync(dir)).toEqual(['nix-upload'])
    expect(() => new GcRoots(join(dir, 'no/nix-upload')).prepare()).toThrow('ENOENT')
  })

  test('where it is missing there are no roots to list', () => {
    expect([...new GcRoots(join(tempDir(), 'missing')).entries()]).toEqual([])
  })

  test('turned off there is none, and nothing is done', () => {
    const off = new GcRoots('')
    off.prepare()
    off.hold('X.json', [HELLO])
    off.release('X.json', [HELLO])
    expect(off.directory).toBeUndefined()
    expect([...off.entries()]).toEqual([])
    expect(existsSync(`X.json.${hashOf(HELLO)}`)).toBe(false)
  })
})
