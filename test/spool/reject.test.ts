import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { reject } from '../../src/spool/settle.ts'
import { contentOf, frozen, put, tempSpool, tree } from './temp-spool.ts'

describe('T6: what is no valid job', () => {
  test('S6: lies in failed/ byte for byte, with a note beside it that says what is wrong and what to do', () => {
    const { spool } = tempSpool()
    put(spool, 'new', 'X.json', '{"outPaths":\0')
    expect(reject(spool, 'X.json', 'it is not JSON')).toBe('X.json')
    expect(tree(spool)).toEqual({ failed: ['X.json', 'X.json.reason'] })
    expect(contentOf(spool, 'failed', 'X.json')).toBe('{"outPaths":\0')
    expect(contentOf(spool, 'failed', 'X.json.reason')).toBe(
      'X.json is no valid job: it is not JSON.\n' +
        'It was moved here from new/ as it was found. Mend it and move it back to new/, or delete it.\n',
    )
  })

  test('may be a directory, with all that is in it', () => {
    const { spool } = tempSpool()
    mkdirSync(join(spool.new, 'directory'))
    put(spool, 'new', 'directory/inside')
    expect(reject(spool, 'directory', 'it is a directory')).toBe('directory')
    expect(tree(spool)).toEqual({ failed: ['directory', 'directory.reason'] })
    expect(readdirSync(join(spool.failed, 'directory'))).toEqual(['inside'])
  })

  test('does not lie over another of its name, nor its note over the other’s', () => {
    const { spool } = tempSpool()
    put(spool, 'failed', 'X.json', 'older')
    put(spool, 'failed', 'X.json.reason', 'older reason')
    put(spool, 'new', 'X.json', 'newer')
    expect(reject(spool, 'X.json', 'newer reason')).toBe('X~1.json')
    expect(tree(spool)).toEqual({ failed: ['X.json', 'X.json.reason', 'X~1.json', 'X~1.json.reason'] })
    expect(contentOf(spool, 'failed', 'X.json.reason')).toBe('older reason')
    expect(contentOf(spool, 'failed', 'X~1.json')).toBe('newer')
    expect(contentOf(spool, 'failed', 'X~1.json.reason')).toMatch(/newer reason/)
  })

  test('is left alone where somebody moved it away meanwhile', () => {
    const { spool } = tempSpool()
    expect(reject(spool, 'X.json', 'it is not JSON')).toBeUndefined()
    expect(tree(spool)).toEqual({})
  })

  test('gets to failed/ even where its name leaves no room for that of a note; `list` tells what is wrong then', () => {
    const { spool } = tempSpool()
    const name = 'x'.repeat(255)
    put(spool, 'new', name, '{')
    expect(reject(spool, name, 'it is not JSON')).toBe(name)
    expect(tree(spool)).toEqual({ failed: [name] })
  })

  test('C13: says why before it is in failed/: one that is stopped before it is moved is rejected again', () => {
    const temp = tempSpool()
    const { spool } = temp
    put(spool, 'new', 'X.json', '{')
    expect(() => frozen(temp, spool.new, () => reject(spool, 'X.json', 'reason 1'))).toThrow('EACCES')
    expect(tree(spool)).toEqual({ new: ['X.json'], failed: ['X.json.reason'] })
    expect(reject(spool, 'X.json', 'reason 2')).toBe('X.json')
    expect(tree(spool)).toEqual({ failed: ['X.json', 'X.json.reason'] })
    expect(contentOf(spool, 'failed', 'X.json.reason')).toMatch(/reason 2/)
  })
})
