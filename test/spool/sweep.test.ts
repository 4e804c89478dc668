import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { prune, sweepTemporaries } from '../../src/spool/sweep.ts'
import { age, HOUR, put, tempSpool, tree } from './temp-spool.ts'

const KEEP_ALL = Number.MAX_SAFE_INTEGER
const MINUTE = 60_000
/** The beginning of a minute, so that what is a few seconds older is in the one before. */
const NOW = Math.floor(Date.now() / MINUTE) * MINUTE

/** A spool with jobs in done/ that are so old, by name. */
function withDone(ages: Record<string, number>) {
  const { spool } = tempSpool()
  for (const [name, ms] of Object.entries(ages)) age(put(spool, 'done', name), ms + (Date.now() - NOW))
  return spool
}

describe('T9: retention of done/', () => {
  test('deletes what is older than keep-done, to the second', async () => {
    const spool = withDone({ old: 24 * HOUR + 1000, young: 24 * HOUR - 1000, fresh: 0 })
    expect(await prune(spool, { ageMs: 24 * HOUR, count: KEEP_ALL }, NOW)).toBe(1)
    expect(tree(spool)).toEqual({ done: ['fresh', 'young'] })
  })

  test('deletes what is beyond keep-done-count, oldest first', async () => {
    const spool = withDone({ a: 4 * MINUTE, b: 3 * MINUTE, c: 2 * MINUTE, d: MINUTE, e: 0 })
    expect(await prune(spool, { ageMs: HOUR, count: 2 }, NOW)).toBe(3)
    expect(tree(spool)).toEqual({ done: ['d', 'e'] })
  })

  test.each([0, 1, 250, 999, 1000, 1001])(
    'keeps exactly keep-done-count, many of one minute or not: %i',
    async (keep) => {
      const ages = Array.from({ length: 1000 }, (_, at): [string, number] => [
        `${at}`,
        at < 600 ? 10 : (at % 7) * MINUTE,
      ])
      const spool = withDone(Object.fromEntries(ages))
      expect(await prune(spool, { ageMs: HOUR, count: keep }, NOW)).toBe(1000 - Math.min(keep, 1000))
      expect(tree(spool).done ?? []).toHaveLength(Math.min(keep, 1000))
    },
  )

  test('what is too old does not count for what there may be', async () => {
    const spool = withDone({ old: 2 * HOUR, older: 3 * HOUR, a: MINUTE, b: 0 })
    expect(await prune(spool, { ageMs: HOUR, count: 2 }, NOW)).toBe(2)
    expect(tree(spool)).toEqual({ done: ['a', 'b'] })
  })

  test('touches nothing but done/, and no directory or dotfile there', async () => {
    const { spool } = tempSpool()
    for (const state of ['tmp', 'new', 'cur', 'failed'] as const)
      age(put(spool, state, 'X.json'), 9999 * HOUR)
    mkdirSync(join(spool.done, 'directory'))
    put(spool, 'done', '.hidden')
    expect(await prune(spool, { ageMs: 0, count: 0 })).toBe(0)
  })
})

test('T10: deletes from tmp/ what has not been written to for 36 hours', async () => {
  const { spool } = tempSpool()
  age(put(spool, 'tmp', 'abandoned'), 36 * HOUR + 1000)
  age(put(spool, 'tmp', 'a slow writer'), 36 * HOUR - 60_000)
  age(put(spool, 'new', 'X.json'), 9999 * HOUR)
  expect(await sweepTemporaries(spool)).toBe(1)
  expect(tree(spool)).toEqual({ tmp: ['a slow writer'], new: ['X.json'] })
})
