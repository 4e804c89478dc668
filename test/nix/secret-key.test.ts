// What counts as a file of Nix's secret keys.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readSecretKeys } from '../../src/nix/secret-key.ts'
import { tempDir } from '../spool/temp-spool.ts'

/** A key as Nix writes it: without a newline. */
const key = (name: string) => `${name}:${Buffer.alloc(64, name).toString('base64')}`

function namesIn(content: string): string[] {
  const file = join(tempDir(), 'keys')
  writeFileSync(file, content)
  return readSecretKeys(file).map(({ publicKey }) => publicKey.replace(/:.*/, ''))
}

describe('a file of secret keys', () => {
  test('has one on each line', () => {
    expect(namesIn(key('a-1'))).toEqual(['a-1'])
    expect(namesIn(`${key('a-1')}\n\n${key('b-1')}\n`)).toEqual(['a-1', 'b-1'])
  })

  test.each([
    [
      'two keys on one line, as `cat a.key b.key` makes them: none of them may vanish',
      key('a-1') + key('b-1'),
    ],
    ['something behind a key', `${key('a-1')}x`],
    ['one good line, and one that is no key', `${key('a-1')}\nb-1`],
    ['a key that is too short', 'a-1:AAAA'],
    ['nothing', ''],
  ])('is refused with %s', (_, content) => {
    expect(() => namesIn(content)).toThrow(/holds no secret key of Nix \(NAME:BASE64, one per line\)$/)
  })
})
