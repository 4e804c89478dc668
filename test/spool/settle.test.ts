import { mkdirSync, renameSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ClaimedJob } from '../../src/spool/claim.ts'
import {
  record,
  releaseDone,
  settleDone,
  settleFailed,
  syncDone,
  writeRecords,
} from '../../src/spool/settle.ts'
import {
  claimIt,
  contentOf,
  DELIVERED,
  frozen,
  GIVEN_UP,
  jobText,
  put,
  rooted,
  storePath,
  type TempSpool,
  tempSpool,
  tree,
} from './temp-spool.ts'

/** A spool with one claimed job that has come to something. */
function withClaimed(destinations: ClaimedJob['job']['destinations'], text = jobText()) {
  const temp = tempSpool()
  put(temp.spool, 'new', 'X.json', text)
  const claimed = claimIt(temp, 'X.json')
  claimed.job = { ...claimed.job, destinations }
  return { ...temp, temp, claimed }
}

const destinationsIn = (temp: TempSpool, state: 'cur' | 'done' | 'failed', name = 'X.json') =>
  JSON.parse(contentOf(temp.spool, state, name)).destinations

test('T3: a record replaces the job in cur/ by what is known of it now', () => {
  const waiting = { s3: { state: 'waiting', attempts: 1, error: 'reset' } } as const
  const { temp, spool, claimed } = withClaimed(waiting)
  expect(record(spool, claimed)).toBe(true)
  expect(tree(spool)).toEqual({ cur: ['X.json'] })
  expect(destinationsIn(temp, 'cur')).toEqual(waiting)
})

describe('T4: a delivered job', () => {
  test('S4: lies in done/ with its delivery record, and once that is durable its GC roots go', async () => {
    const { temp, spool, roots, claimed } = withClaimed({ s3: DELIVERED })
    expect(settleDone(spool, claimed)).toBe('X.json')
    expect(tree(spool)).toEqual({ done: ['X.json'] })
    expect(destinationsIn(temp, 'done')).toEqual({ s3: DELIVERED })
    expect(rooted(temp)).toEqual(['X.json'])
    await syncDone(spool)
    releaseDone(spool, roots, { claimed, target: 'X.json' })
    expect(rooted(temp)).toEqual([])
  })

  test("that can't be moved stays in cur/, and leaves nothing in tmp/", async () => {
    const { spool, claimed } = withClaimed({ s3: DELIVERED })
    rmdirSync(spool.done)
    const written = (await writeRecords(spool, [claimed])).get(claimed)
    expect(() => settleDone(spool, claimed, written)).toThrow('ENOENT')
    mkdirSync(spool.done)
    expect(tree(spool)).toEqual({ cur: ['X.json'] })
  })

  test('keeps its roots where somebody requeues it meanwhile', () => {
    const { temp, spool, roots, claimed } = withClaimed({ s3: DELIVERED })
    settleDone(spool, claimed)
    renameSync(join(spool.done, 'X.json'), join(spool.new, 'X.json'))
    releaseDone(spool, roots, { claimed, target: 'X.json' })
    expect(rooted(temp)).toEqual(['X.json'])
  })

  test('whose outputs were looked up from its derivation gives that one’s root back too', () => {
    const drv = { drvPath: storePath('hello.drv'), outPaths: [] }
    const { temp, spool, roots, claimed } = withClaimed({ s3: DELIVERED }, JSON.stringify(drv))
    expect(rooted(temp)).toEqual(['X.json'])
    claimed.job = { ...claimed.job, outPaths: [storePath('hello')] }
    settleDone(spool, claimed)
    releaseDone(spool, roots, { claimed, target: 'X.json' })
    expect(rooted(temp)).toEqual([])
  })

  test('takes no root of another job that holds the same path', () => {
    const { temp, spool, roots, claimed } = withClaimed({ s3: DELIVERED })
    put(spool, 'new', 'Y.json')
    claimIt(temp, 'Y.json')
    settleDone(spool, claimed)
    releaseDone(spool, roots, { claimed, target: 'X.json' })
    expect(rooted(temp)).toEqual(['Y.json'])
  })

  test('does not lie over an older one of its name', () => {
    const { temp, spool, claimed } = withClaimed({ s3: DELIVERED })
    put(spool, 'done', 'X.json', 'older')
    expect(settleDone(spool, claimed)).toBe('X~1.json')
    expect(contentOf(spool, 'done', 'X.json')).toBe('older')
    expect(destinationsIn(temp, 'done', 'X~1.json')).toEqual({ s3: DELIVERED })
  })

  test('C9: that is stopped before it is moved is in cur/ as it was, with its roots', () => {
    const { temp, spool, claimed } = withClaimed({ s3: DELIVERED })
    expect(() => frozen(temp, spool.done, () => settleDone(spool, claimed))).toThrow('EACCES')
    expect(tree(spool)).toEqual({ cur: ['X.json'] })
    expect(contentOf(spool, 'cur', 'X.json')).toBe(jobText())
    expect(rooted(temp)).toEqual(['X.json'])
  })
})

describe('T5: a job that is given up', () => {
  test('S5: lies in failed/, says why, and keeps its GC roots', () => {
    const { temp, spool, claimed } = withClaimed({ s3: GIVEN_UP })
    expect(settleFailed(spool, claimed)).toBe('X.json')
    expect(tree(spool)).toEqual({ failed: ['X.json'] })
    expect(destinationsIn(temp, 'failed')).toEqual({ s3: GIVEN_UP })
    expect(rooted(temp)).toEqual(['X.json'])
  })

  test('does not lie over an older one of its name', () => {
    const { temp, spool, claimed } = withClaimed({ s3: GIVEN_UP })
    put(spool, 'failed', 'X.json', 'older')
    expect(settleFailed(spool, claimed)).toBe('X~1.json')
    expect(contentOf(spool, 'failed', 'X.json')).toBe('older')
    expect(destinationsIn(temp, 'failed', 'X~1.json')).toEqual({ s3: GIVEN_UP })
  })

  test('leaves no note there that says it was no job', () => {
    const { spool, claimed } = withClaimed({ s3: GIVEN_UP })
    put(spool, 'failed', 'X.json.reason', 'of long ago')
    settleFailed(spool, claimed)
    expect(tree(spool)).toEqual({ failed: ['X.json'] })
  })

  test('C7: says why before it is in failed/: one that is stopped before it is moved says so in cur/', () => {
    const { temp, spool, claimed } = withClaimed({ s3: GIVEN_UP })
    expect(() => frozen(temp, spool.failed, () => settleFailed(spool, claimed))).toThrow('EACCES')
    expect(tree(spool)).toEqual({ cur: ['X.json'] })
    expect(destinationsIn(temp, 'cur')).toEqual({ s3: GIVEN_UP })
  })

  test('C6: that is stopped before it is written is in cur/ as it was', () => {
    const { temp, spool, claimed } = withClaimed({ s3: GIVEN_UP })
    expect(() => frozen(temp, spool.cur, () => settleFailed(spool, claimed))).toThrow('EACCES')
    expect(tree(spool)).toEqual({ cur: ['X.json'] })
    expect(contentOf(spool, 'cur', 'X.json')).toBe(jobText())
  })
})

describe('another job that came by the name of one in hand', () => {
  const other = jobText('other')

  test.each([
    {
      does: 'T3',
      act: ({ spool, claimed }: ReturnType<typeof withClaimed>) => record(spool, claimed),
      is: false,
    },
    {
      does: 'T4',
      act: ({ spool, claimed }: ReturnType<typeof withClaimed>) => settleDone(spool, claimed),
      is: undefined,
    },
    {
      does: 'T5',
      act: ({ spool, claimed }: ReturnType<typeof withClaimed>) => settleFailed(spool, claimed),
      is: undefined,
    },
  ])('is left as it is by $does', ({ act, is }) => {
    const all = withClaimed({ s3: DELIVERED })
    renameSync(join(all.spool.cur, 'X.json'), join(all.spool.new, 'X~1.json'))
    put(all.spool, 'cur', 'X.json', other)
    expect(act(all)).toBe(is)
    expect(tree(all.spool)).toEqual({ new: ['X~1.json'], cur: ['X.json'] })
    expect(contentOf(all.spool, 'cur', 'X.json')).toBe(other)
  })
})
