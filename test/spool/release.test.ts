import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ClaimedJob } from '../../src/spool/claim.ts'
import { record, release, requeue, settleDone, settleFailed } from '../../src/spool/settle.ts'
import {
  claimIt,
  contentOf,
  DELIVERED,
  jobText,
  put,
  rooted,
  type TempSpool,
  tempSpool,
  tree,
} from './temp-spool.ts'

/** A spool with one claimed job. */
function withClaimed() {
  const temp = tempSpool()
  put(temp.spool, 'new', 'X.json')
  return { temp, spool: temp.spool, claimed: claimIt(temp, 'X.json') }
}

describe('T7 and T8: back to new/', () => {
  test('T7: a claimed job is released byte for byte, its roots stay', () => {
    const { temp, spool } = withClaimed()
    expect(release(spool, 'X.json')).toBe('X.json')
    expect(tree(spool)).toEqual({ new: ['X.json'] })
    expect(contentOf(spool, 'new', 'X.json')).toBe(jobText())
    expect(rooted(temp)).toEqual(['X.json'])
  })

  test.each(['failed', 'done'] as const)(
    'T8: a job is requeued from %s/ as it is, never over another',
    (state) => {
      const { spool } = tempSpool()
      put(spool, state, 'X.json')
      put(spool, 'new', 'X.json', 'another')
      expect(requeue(spool, state, 'X.json')).toBe('X~1.json')
      expect(tree(spool)).toEqual({ new: ['X.json', 'X~1.json'] })
      expect(contentOf(spool, 'new', 'X~1.json')).toBe(jobText())
      expect(requeue(spool, state, 'X.json')).toBeUndefined()
    },
  )

  test('what is no job may lie in the way: it is moved like any other', () => {
    const { spool } = tempSpool()
    mkdirSync(join(spool.cur, 'directory'))
    put(spool, 'cur', 'directory/inside')
    expect(release(spool, 'directory')).toBe('directory')
    expect(readdirSync(join(spool.new, 'directory'))).toEqual(['inside'])
    rmSync(spool.new, { recursive: true })
    put(spool, 'cur', 'X.json')
    expect(() => release(spool, 'X.json')).toThrow('ENOENT')
    expect(tree({ ...spool, new: spool.tmp })).toEqual({ cur: ['X.json'] })
  })
})

const TRANSITIONS = [
  { row: 'T3', act: ({ spool }: TempSpool, job: ClaimedJob) => record(spool, job), gone: false },
  {
    row: 'T4',
    act: ({ spool }: TempSpool, job: ClaimedJob) => settleDone(spool, job),
    gone: undefined,
  },
  { row: 'T5', act: ({ spool }: TempSpool, job: ClaimedJob) => settleFailed(spool, job), gone: undefined },
  { row: 'T7', act: ({ spool }: TempSpool, job: ClaimedJob) => release(spool, job.name), gone: undefined },
]

describe('rule 5: a job that somebody moved away meanwhile', () => {
  test.each(TRANSITIONS)('$row: is left where it is, as it is, with its roots', ({ act, gone }) => {
    const { temp, spool, claimed } = withClaimed()
    claimed.job = { ...claimed.job, destinations: { s3: DELIVERED } }
    renameSync(join(spool.cur, 'X.json'), join(spool.failed, 'mine.json'))
    expect(act(temp, claimed)).toBe(gone)
    expect(tree(spool)).toEqual({ failed: ['mine.json'] })
    expect(contentOf(spool, 'failed', 'mine.json')).toBe(jobText())
    expect(rooted(temp)).toEqual(['X.json'])
  })
})
