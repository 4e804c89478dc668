// How many requests are under way at a time.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { AdaptiveConcurrency } from '../../src/transport/adaptive-concurrency.ts'
import { TransportFailure } from '../../src/transport/transport-failure.ts'
import { MIB, never, put, putText, quickConcurrency } from './bed.ts'
import { moodyBed } from './moody-bed.ts'

const bed = moodyBed()
const { open } = bed

const names = (count: number) => Array.from({ length: count }, (_, at) => `${at}.narinfo`)

test('grows while all goes well', async () => {
  bed.cache.behave({ delayMs: 100 })
  const { concurrency, transport } = open({ most: 40 })
  expect(concurrency.window).toBe(32)
  await Promise.all(names(300).map((name) => transport.get(name, never)))
  expect(concurrency.window).toBe(40)
  // On a busy machine some have their answer before the last of them comes in.
  expect(bed.cache.peak).toBeGreaterThan(25)
  expect(bed.cache.peak).toBeLessThanOrEqual(40)
})

test('comes to 256 at the most', async () => {
  const concurrency = quickConcurrency()
  let [atOnce, peak] = [0, 0]
  const request = async () => {
    peak = Math.max(peak, ++atOnce)
    await sleep(1)
    atOnce--
  }
  await Promise.all(names(5_000).map(() => concurrency.run(request, never)))
  expect(concurrency.window).toBe(256)
  expect(peak).toBe(256)
})

test('shrinks when the server asks for fewer, and all files come there all the same', async () => {
  bed.cache.behave({ mostAtOnce: 4, delayMs: 5 })
  const { concurrency, transport } = open()
  let most = 0
  await Promise.all(
    names(300).map(async (name) => {
      await putText(transport, name)
      most = Math.max(most, concurrency.window)
    }),
  )
  const refused = bed.cache.seen.filter(({ status }) => status === 503).length
  expect(bed.cache.seen.filter(({ status }) => status === 201)).toHaveLength(300)
  expect(refused).toBeGreaterThan(0)
  // As many as at first, without a word, would have had seven in eight refused.
  expect(refused).toBeLessThan(150)
  expect(concurrency.window).toBeLessThan(10)
  expect(most).toBeLessThan(30)
})

test('a storm of 503 that lasts for seconds is sat out', async () => {
  bed.cache.behave({ status: 503, headers: { 'retry-after': '0' } })
  const { concurrency, transport } = open()
  const all = Promise.all(names(50).map((name) => putText(transport, name)))
  await sleep(2_500)
  bed.cache.calm()
  await all
  expect(bed.cache.count('PUT')).toBeLessThan(200)
  expect(concurrency.window).toBeLessThan(16)
})

test('is halved once for all that were under way together, and down to one', async () => {
  const concurrency = quickConcurrency({ start: 8, attempts: 1, patienceMs: 0 })
  const refused = (from: AdaptiveConcurrency) =>
    from.run(async () => {
      await sleep(5)
      throw new TransportFailure({ retry: 'slower', means: 'fewer' }, 'EMFILE')
    }, never)
  const windows: number[] = []
  for (let round = 0; round < 5; round++) {
    await Promise.allSettled(Array.from({ length: concurrency.window }, () => refused(concurrency)))
    windows.push(concurrency.window)
  }
  expect(windows).toEqual([4, 2, 1, 1, 1])
})

test('what is aborted ends at once, waiting or under way, for the reason that was given', async () => {
  bed.cache.behave({ stallAfter: 0 })
  const { transport } = open({ start: 2 })
  const controller = new AbortController()
  const reason = new Error('enough')
  const all = names(20).map((name) => put(transport, name, Buffer.alloc(5 * MIB), controller.signal))
  const settled = Promise.allSettled(all)
  await sleep(100)
  const began = performance.now()
  controller.abort(reason)
  for (const result of await settled) expect(result).toEqual({ status: 'rejected', reason })
  expect(performance.now() - began).toBeLessThan(5_000)
  await expect.poll(() => bed.cache.connections()).toBe(0)
})
