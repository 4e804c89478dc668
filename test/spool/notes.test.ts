import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { claim } from '../../src/spool/claim.ts'
import { reject } from '../../src/spool/settle.ts'
import { contentOf, jobText, put, STORE, type TempSpool, tempSpool, tree } from './temp-spool.ts'

/** Looks at the entries of new/ in that order, as the daemon does. */
function lookAt({ spool, roots }: TempSpool, ...names: string[]): void {
  for (const name of names) {
    const look = claim(spool, roots, STORE, name, () => true)
    if (look.kind === 'invalid') reject(spool, name, look.reason)
  }
}

/** What `mv failed/* new/` does. */
function moveBack({ spool }: TempSpool): void {
  for (const name of ['X.json', 'X.json.reason']) renameSync(join(spool.failed, name), join(spool.new, name))
}

describe('rule 3: a note beside a file that was no job', () => {
  test('S6: is never taken for a job, and goes back to failed/ where it is read', () => {
    const temp = tempSpool()
    put(temp.spool, 'new', 'X.json.reason', 'this is why')
    expect(claim(temp.spool, temp.roots, STORE, 'X.json.reason', () => true)).toEqual({ kind: 'left' })
    expect(tree(temp.spool)).toEqual({ failed: ['X.json.reason'] })
    expect(contentOf(temp.spool, 'failed', 'X.json.reason')).toBe('this is why')
  })

  test('and a directory of such a name stays where there is another one in failed/', () => {
    const temp = tempSpool()
    put(temp.spool, 'failed', 'X.reason', 'this is why')
    mkdirSync(join(temp.spool.new, 'X.reason'))
    lookAt(temp, 'X.reason')
    expect(tree(temp.spool)).toEqual({ new: ['X.reason'], failed: ['X.reason'] })
  })

  test('is dropped once the file is mended and claimed', () => {
    const temp = tempSpool()
    put(temp.spool, 'failed', 'X.json.reason', 'this is why')
    put(temp.spool, 'new', 'X.json')
    lookAt(temp, 'X.json')
    expect(tree(temp.spool)).toEqual({ cur: ['X.json'] })
  })

  test('stays while its file lies beside it, whatever else of that name comes', () => {
    const temp = tempSpool()
    put(temp.spool, 'failed', 'X.json', '{')
    put(temp.spool, 'failed', 'X.json.reason', 'this is why')
    put(temp.spool, 'new', 'X.json')
    lookAt(temp, 'X.json')
    expect(tree(temp.spool)).toEqual({ cur: ['X.json'], failed: ['X.json', 'X.json.reason'] })
  })

  test.each([
    ['X.json', 'X.json.reason'],
    ['X.json.reason', 'X.json'],
  ])(
    'after `mv failed/* new/` of a file that is still no job both are in failed/, once (%s first)',
    (first, second) => {
      const temp = tempSpool()
      put(temp.spool, 'new', 'X.json', '{')
      lookAt(temp, 'X.json')
      moveBack(temp)
      lookAt(temp, first, second)
      expect(tree(temp.spool)).toEqual({ failed: ['X.json', 'X.json.reason'] })
      expect(contentOf(temp.spool, 'failed', 'X.json')).toBe('{')
      expect(contentOf(temp.spool, 'failed', 'X.json.reason')).toMatch(/not JSON/)
    },
  )

  test('after `mv failed/* new/` of a mended file nothing is left of it where it is looked at first', () => {
    const temp = tempSpool()
    put(temp.spool, 'failed', 'X.json', jobText())
    put(temp.spool, 'failed', 'X.json.reason', 'this was why')
    moveBack(temp)
    lookAt(temp, 'X.json.reason', 'X.json')
    expect(tree(temp.spool)).toEqual({ cur: ['X.json'] })
  })
})
