import { chmodSync, mkdirSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { describe, expect, test } from 'vitest'
import { claim } from '../../src/spool/claim.ts'
import type { Job } from '../../src/spool/job.ts'
import { record, settleDone, settleFailed } from '../../src/spool/settle.ts'
import {
  claimIt,
  contentOf,
  frozen,
  jobText,
  put,
  putRoot,
  rooted,
  STORE,
  type TempSpool,
  tempSpool,
  tree,
} from './temp-spool.ts'

const look = ({ spool, roots }: TempSpool, name: string, wants = (_: Job) => true) =>
  claim(spool, roots, STORE, name, wants)

describe('T2: a claim', () => {
  test('S3: moves the job to cur/ byte for byte and makes the GC roots that are missing', () => {
    const temp = tempSpool()
    put(temp.spool, 'new', 'X.json')
    expect(look(temp, 'X.json')).toMatchObject({ kind: 'claimed', claimed: { name: 'X.json' } })
    expect(tree(temp.spool)).toEqual({ cur: ['X.json'] })
    expect(contentOf(temp.spool, 'cur', 'X.json')).toBe(jobText())
    expect(rooted(temp)).toEqual(['X.json'])
  })

  test('takes any name for a job, to the longest that a file can have', () => {
    const temp = tempSpool()
    for (const name of [
      'no ending',
      '日本.json',
      '-n',
      'a\nb.json',
      'x'.repeat(255),
      `${'y'.repeat(245)}.json`,
    ]) {
      put(temp.spool, 'new', name)
      expect(look(temp, name)).toMatchObject({ kind: 'claimed', claimed: { name } })
    }
  })

  test("of a file that another one took the place of meanwhile delivers neither: it goes back as nobody's", async () => {
    const temp = tempSpool()
    const { spool } = temp
    const path = put(spool, 'new', 'X.json')
    // As long as it takes a file to come here from where it was written.
    await sleep(20)
    chmodSync(path, 0o600)
    const found = look(temp, 'X.json', () => {
      renameSync(put(spool, 'tmp', 'other', jobText('other')), join(spool.new, 'X.json'))
      return true
    })
    if (found.kind !== 'claimed') throw new Error(found.kind)
    expect(settleDone(spool, found.claimed)).toBeUndefined()
    expect(tree(spool)).toEqual({ cur: ['X.json'] })
    expect(contentOf(spool, 'cur', 'X.json')).toBe(jobText('other'))
  })

  test('of what is not wanted now leaves it where it is', () => {
    const temp = tempSpool()
    put(temp.spool, 'new', 'X.json')
    expect(look(temp, 'X.json', () => false)).toEqual({ kind: 'left' })
    expect(tree(temp.spool)).toEqual({ new: ['X.json'] })
    expect(rooted(temp)).toEqual([])
  })

  test('of a file that is gone is no error', () => {
    const temp = tempSpool()
    expect(look(temp, 'X.json')).toEqual({ kind: 'gone' })
    put(temp.spool, 'new', 'X.json')
    const wants = () => {
      rmSync(join(temp.spool.new, 'X.json'))
      return true
    }
    expect(look(temp, 'X.json', wants)).toEqual({ kind: 'gone' })
    expect(tree(temp.spool)).toEqual({})
  })

  test('passes over dotfiles', () => {
    const temp = tempSpool()
    put(temp.spool, 'new', '.X.json.swp')
    expect(look(temp, '.X.json.swp')).toEqual({ kind: 'left' })
    expect(tree(temp.spool)).toEqual({ new: ['.X.json.swp'] })
  })

  test('never renames over another job: the newcomer gets ~1, ~2, …', () => {
    const temp = tempSpool()
    for (const [name, content] of [
      ['X.json', 'one'],
      ['X~1.json', 'two'],
      ['plain', 'three'],
    ]) {
      put(temp.spool, 'cur', name ?? '', content)
    }
    put(temp.spool, 'new', 'X.json')
    put(temp.spool, 'new', 'plain')
    expect(claimIt(temp, 'X.json').name).toBe('X~2.json')
    expect(claimIt(temp, 'plain').name).toBe('plain~1')
    expect(contentOf(temp.spool, 'cur', 'X.json')).toBe('one')
    expect(rooted(temp)).toEqual(['X~2.json', 'plain~1'])
  })

  test('that cannot make the GC roots claims all the same, and says so', () => {
    const temp = tempSpool()
    rmSync(join(temp.dir, 'gcroots'), { recursive: true })
    put(temp.spool, 'new', 'X.json')
    expect(look(temp, 'X.json')).toMatchObject({ kind: 'claimed', rootsError: { code: 'ENOENT' } })
  })

  test('C4: takes up a job that has its roots already', () => {
    const temp = tempSpool()
    put(temp.spool, 'new', 'X.json')
    putRoot(temp, 'X.json')
    expect(look(temp, 'X.json')).toEqual({ kind: 'claimed', claimed: expect.anything(), newlyRooted: [] })
    expect(rooted(temp)).toEqual(['X.json'])
  })

  test('C4: that comes to nothing between reading and renaming leaves the job in new/', () => {
    const temp = tempSpool()
    put(temp.spool, 'new', 'X.json')
    expect(() => frozen(temp, temp.spool.cur, () => look(temp, 'X.json'))).toThrow('EACCES')
    expect(tree(temp.spool)).toEqual({ new: ['X.json'] })
  })

  test('S6: leaves what is no valid job to be rejected, saying why', () => {
    const temp = tempSpool()
    put(temp.spool, 'new', 'X.json', '{')
    mkdirSync(join(temp.spool.new, 'directory'))
    expect(look(temp, 'X.json')).toMatchObject({
      kind: 'invalid',
      reason: expect.stringMatching(/^it is not JSON/),
    })
    expect(look(temp, 'directory')).toMatchObject({
      kind: 'invalid',
      reason: expect.stringMatching(/^it is a directory/),
    })
    expect(tree(temp.spool)).toEqual({ new: ['X.json', 'directory'] })
  })

  test('has one winner where two processes claim the same jobs', async () => {
    const temp = tempSpool()
    const names = Array.from({ length: 300 }, (_, at) => `${at}.json`)
    for (const name of names) put(temp.spool, 'new', name)
    const daemon = `
      import { claim } from '${new URL('../../src/spool/claim.ts', import.meta.url)}'
      import { spoolAt } from '${new URL('../../src/spool/layout.ts', import.meta.url)}'
      import { GcRoots } from '${new URL('../../src/nix/gc-roots.ts', import.meta.url)}'
      const [root, gcroots, storeDir, names] = JSON.parse(process.argv[1])
      const claimed = (name) => claim(spoolAt(root), new GcRoots(gcroots), storeDir, name, () => true).kind === 'claimed'
      console.log(names.filter(claimed).join(' '))`
    const argument = JSON.stringify([temp.spool.root, join(temp.dir, 'gcroots'), STORE, names])
    const run = () => execa(process.execPath, ['--input-type=module', '-e', daemon, argument])
    const outputs = await Promise.all([run(), run(), run()])
    const winners = outputs.flatMap(({ stdout }) => stdout.split(' ').filter((name) => name !== ''))
    expect(winners.sort()).toEqual([...names].sort())
    expect(tree(temp.spool)).toEqual({ cur: [...names].sort() })
  })
})

describe('a job in cur/ that somebody edits', () => {
  test.each(['in place, longer', 'in place, of the same size'])(
    '%s, is another job: not overwritten, not settled',
    (how) => {
      const temp = tempSpool()
      put(temp.spool, 'new', 'X.json')
      const claimed = claimIt(temp, 'X.json')
      const path = join(temp.spool.cur, 'X.json')
      const before = contentOf(temp.spool, 'cur', 'X.json')
      const edited = how.endsWith('longer') ? `${before} ` : before.replace('hello', 'jello')
      writeFileSync(path, edited)
      utimesSync(path, new Date(), new Date(Date.now() + 5))
      expect(record(temp.spool, claimed)).toBe(false)
      expect(settleDone(temp.spool, claimed)).toBeUndefined()
      expect(settleFailed(temp.spool, claimed)).toBeUndefined()
      expect(tree(temp.spool)).toEqual({ cur: ['X.json'] })
      expect(contentOf(temp.spool, 'cur', 'X.json')).toBe(edited)
    },
  )
})

test.each([
  { ageMs: 0, isFresh: true },
  { ageMs: 2000, isFresh: true },
  { ageMs: 4000, isFresh: false },
  { ageMs: -4000, isFresh: false },
])(
  'what is no valid job and was written to $ageMs ms ago may be half written: $isFresh',
  ({ ageMs, isFresh }) => {
    const temp = tempSpool()
    const path = put(temp.spool, 'new', 'X.json', '{')
    const then = (Date.now() - ageMs) / 1000
    utimesSync(path, then, then)
    expect(look(temp, 'X.json')).toMatchObject({ kind: 'invalid', isFresh })
  },
)
