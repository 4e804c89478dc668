import fc from 'fast-check'
import { expect, test } from 'vitest'
import { waitAfter } from '../../src/util/backoff.ts'

const SECOND = 1000
const BACKOFF = { minMs: 5 * SECOND, maxMs: 300 * SECOND }
const MIDDLE = 0.5

test.each<[failures: number, seconds: number]>([
  [1, 5],
  [2, 10],
  [3, 20],
  [6, 160],
  [7, 300],
  [8, 300],
  [1_000_000, 300],
])('after %i failures in a row the wait is %i s: it doubles, up to the longest', (failures, seconds) => {
  expect(waitAfter(failures, BACKOFF, MIDDLE)).toBe(seconds * SECOND)
})

test('chance makes it a quarter more or less, so that builders don’t come back all at once', () => {
  expect(waitAfter(1, BACKOFF, 0)).toBe(3.75 * SECOND)
  expect(waitAfter(1, BACKOFF, 1)).toBe(6.25 * SECOND)
  expect(new Set(Array.from({ length: 20 }, () => waitAfter(1, BACKOFF))).size).toBeGreaterThan(1)
})

test('a shortest wait above the longest is the longest', () => {
  expect(waitAfter(1, { minMs: 10, maxMs: 1 }, MIDDLE)).toBe(1)
})

test('it is never nothing, and never more than a quarter above the longest', () => {
  const settings = fc.record({
    minMs: fc.integer({ min: 1, max: 1e9 }),
    maxMs: fc.integer({ min: 1, max: 1e9 }),
  })
  const random = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(fc.integer({ min: 1 }), settings, random, (failures, backoff, chance) => {
      const wait = waitAfter(failures, backoff, chance)
      expect(wait).toBeGreaterThan(0)
      expect(wait).toBeLessThanOrEqual(backoff.maxMs * 1.25)
    }),
  )
})
