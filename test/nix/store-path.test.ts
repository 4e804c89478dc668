import { describe, expect, test } from 'vitest'
import { ANY_STORE, hashOf, nameOf, splitStorePath } from '../../src/nix/store-path.ts'

const HASH = '0123456789abcdfghijklmnpqrsvwxyz'
const PATH = `/nix/store/${HASH}-hello-2.12.1`

describe('a store path', () => {
  test.each<[path: string, storeDir: string, name: string]>([
    [PATH, '/nix/store', 'hello-2.12.1'],
    [`/nix/store/${HASH}-x`, '/nix/store', 'x'],
    [`/nix/store/${HASH}-${'n'.repeat(211)}`, '/nix/store', 'n'.repeat(211)],
    [`/nix/store/${HASH}-aZ09+-._?=`, '/nix/store', 'aZ09+-._?='],
    [`/nix/store/${HASH}--starts-with-a-dash`, '/nix/store', '-starts-with-a-dash'],
    [`/mnt/my store/${HASH}-x.drv`, '/mnt/my store', 'x.drv'],
    [`/${HASH}-x`, ANY_STORE, 'x'],
    [`/where/ever/${HASH}-x`, ANY_STORE, 'x'],
  ])('%s splits into hash and name', (path, storeDir, name) => {
    expect(splitStorePath(path, storeDir)).toEqual({ hash: HASH, name })
    expect(hashOf(path)).toBe(HASH)
    expect(nameOf(path)).toBe(name)
  })

  test.each<[path: string, storeDir: string]>([
    ['', '/nix/store'],
    ['/nix/store', '/nix/store'],
    [PATH, '/nix/stor'],
    [PATH, '/nix'],
    [PATH, '/mnt/store'],
    [`${PATH}/bin`, '/nix/store'],
    [`${PATH}/`, '/nix/store'],
    [`${PATH}\n`, '/nix/store'],
    [PATH.slice(1), '/nix/store'],
    [PATH.slice(1), ANY_STORE],
    [`${HASH}-x`, ANY_STORE],
    [`/nix/store/../store/${HASH}-x`, '/nix/store'],
    [`/nix/store/${HASH}-`, '/nix/store'],
    [`/nix/store/${HASH}`, '/nix/store'],
    [`/nix/store/${HASH}_x`, '/nix/store'],
    [`/nix/store/${HASH}-${'n'.repeat(212)}`, '/nix/store'],
    [`/nix/store/${HASH.slice(1)}-x`, '/nix/store'],
    [`/nix/store/${HASH.replace('z', 'e')}-x`, '/nix/store'],
    [`/nix/store/${HASH.replace('z', 'o')}-x`, '/nix/store'],
    [`/nix/store/${HASH.replace('z', 't')}-x`, '/nix/store'],
    [`/nix/store/${HASH.replace('z', 'u')}-x`, '/nix/store'],
    [`/nix/store/${HASH.replace('z', 'Z')}-x`, '/nix/store'],
    [`/nix/store/${HASH}-a b`, '/nix/store'],
    [`/nix/store/${HASH}-a:b`, '/nix/store'],
    [`/nix/store/${HASH}-ä`, '/nix/store'],
    [`/nix/store/${HASH}-a\0`, '/nix/store'],
    [`--option/${HASH}-x`, ANY_STORE],
  ])('%j is none in %j', (path, storeDir) => {
    expect(splitStorePath(path, storeDir)).toBeUndefined()
  })
})
