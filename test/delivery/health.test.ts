import { expect, test } from 'vitest'
import { Health } from '../../src/delivery/health.ts'

/** A destination's health on a clock that the test turns. */
function withClock() {
  const clock = { ms: 1_000_000 }
  return { clock, health: new Health({ minMs: 1000, maxMs: 60_000 }, () => clock.ms) }
}

test('is not known before the first copy, and the destination may be tried', () => {
  const { health } = withClock()
  expect(health.report()).toEqual({ state: 'unknown', failures: 0 })
  expect([health.isDown, health.waitMs]).toEqual([false, 0])
})

test('is down after a failure, says why, and when the next attempt is', () => {
  const { health } = withClock()
  const wait = health.failed('refused')
  expect(wait).toBeGreaterThanOrEqual(750)
  expect(wait).toBeLessThanOrEqual(1250)
  expect(health.isDown).toBe(true)
  expect(health.waitMs).toBeCloseTo(wait)
  const { nextAttemptAt = '', ...report } = health.report()
  expect(report).toEqual({ state: 'down', failures: 1, lastError: 'refused' })
  expect(nextAttemptAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  expect(Math.abs(Date.parse(nextAttemptAt) - Date.now() - wait)).toBeLessThan(1000)
})

test('is down until a copy goes through, not only until it may be tried again', () => {
  const { clock, health } = withClock()
  clock.ms += health.failed('refused') - 1
  expect(health.waitMs).toBeCloseTo(1)
  clock.ms += 100_000
  expect([health.isDown, health.waitMs]).toEqual([true, 0])
  expect(health.report()).toMatchObject({ state: 'down', nextAttemptAt: expect.any(String) })
})

test('waits longer after each failure in a row, and starts over after a success', () => {
  const { health } = withClock()
  const waits = Array.from({ length: 10 }, () => health.failed('refused'))
  expect(waits[3]).toBeGreaterThan(4 * (waits[0] ?? 0))
  expect(health.report()).toMatchObject({ failures: 10 })
  expect(health.succeeded()).toBe('down')
  expect(health.report()).toMatchObject({ state: 'ok', failures: 0 })
  expect(health.waitMs).toBe(0)
  expect(health.failed('refused')).toBeLessThanOrEqual(1250)
})

test('tells what it was before a success', () => {
  const { health } = withClock()
  expect([health.succeeded(), health.succeeded()]).toEqual(['unknown', 'ok'])
})

test('says the last error, not the first', () => {
  const { health } = withClock()
  health.failed('refused')
  health.failed('not found')
  expect(health.report().lastError).toBe('not found')
})

test('remembers when a copy last went through, also one of an earlier daemon’s', () => {
  const { health } = withClock()
  expect(health.report().lastSuccessAt).toBeUndefined()
  health.remember('2026-11-22T03:14:02Z')
  health.failed('refused')
  expect(health.report().lastSuccessAt).toBe('2026-11-22T03:14:02Z')
  health.succeeded()
  expect(Date.now() - Date.parse(health.report().lastSuccessAt ?? '')).toBeLessThan(10_000)
})
