import { opendirSync, readFileSync, renameSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { codeOf, EXIT, naming, UserError, wordsOf } from '../../src/util/user-error.ts'

describe('an error for a person', () => {
  test('exits with 1 unless told otherwise', () => {
    expect(new UserError('x')).toMatchObject({ message: 'x', exitCode: 1 })
    expect(new UserError('x', EXIT.badConfig)).toMatchObject({ exitCode: 78 })
    expect(EXIT).toEqual({ done: 0, failed: 1, usage: 2, tryLater: 75, badConfig: 78 })
  })

  test.each<[what: string, attempt: () => unknown, words: string]>([
    ['a path', () => readFileSync('/no/such, file'), 'no such file or directory: /no/such, file'],
    ['two paths', () => renameSync('/no/a', '/no/b'), 'no such file or directory: /no/a to /no/b'],
    ['none', () => readFileSync('/'), 'illegal operation on a directory'],
    ['lines', () => JSON.parse('{"a":\n  x}'), expect.stringMatching(/^Unexpected token [^\n]+$/)],
  ])('is said on one line, without codes: with %s', (_what, attempt, words) => {
    expect(wordsOf(thrownBy(attempt))).toEqual(words)
  })

  test('names the file it is about, also where Node leaves that out', () => {
    expect(
      wordsOf(
        naming(
          '/x',
          thrownBy(() => opendirSync('/no')),
        ),
      ),
    ).toBe('no such file or directory: /x')
    expect(
      wordsOf(
        naming(
          '/x',
          thrownBy(() => readFileSync('/no')),
        ),
      ),
    ).toBe('no such file or directory: /no')
    expect(naming('/x', 'a string')).toBe('a string')
  })

  test('says what is no error as it is', () => {
    expect(wordsOf('a string')).toBe('a string')
    expect(wordsOf(undefined)).toBe('undefined')
  })

  test('knows the code of a system error, and of no other', () => {
    expect(codeOf(thrownBy(() => readFileSync('/no/such/file')))).toBe('ENOENT')
    const others = [new Error('x'), Object.assign(new Error('x'), { code: 5 }), { code: 'ENOENT' }, null]
    for (const other of others) expect(codeOf(other)).toBeUndefined()
  })
})

function thrownBy(attempt: () => unknown): unknown {
  try {
    attempt()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
