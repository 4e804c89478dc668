// Measured where it comes in: the bytes of bodies that a server gets, over real connections.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { HttpTransport } from '../../src/transport/http/http-transport.ts'
import { RateLimit } from '../../src/transport/rate-limit.ts'
import { type Arrival, type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { makeFile, never, put } from './bed.ts'

const MB = 1_000_000

/** On a machine that is busy, uploads can take longer than their limit wants. A limit that is wrong is so each time. */
const TIMED = { retry: 3 }

let caches: MoodyCache[]
let dir: string

beforeAll(async () => {
  caches = [await startMoodyCache(), await startMoodyCache()]
  dir = await mkdtemp(join(tmpdir(), 'nix-upload-rate-'))
  return async () => {
    for (const cache of caches) await cache.cleanup()
    await rm(dir, { recursive: true })
  }
})

afterEach(() => {
  for (const cache of caches) cache.calm()
})

/** Uploads so many files of a size at a time, each after the other's name. */
async function upload(
  to: number,
  limits: RateLimit[],
  count: number,
  size: number,
  ended = never,
): Promise<void> {
  const transport = new HttpTransport({ to: caches[to]?.url ?? '', progressTimeoutMs: 20_000, limits })
  const { body } = await makeFile(join(dir, `of-${to}-${size}`), size)
  const names = Array.from({ length: count }, (_, at) => `nar/${at}`)
  await Promise.all(names.map((name) => put(transport, name, body, ended)))
  transport.close()
}

/** The most that came in within any second. */
function busiestSecond(arrivals: readonly Arrival[]): number {
  const sorted = arrivals.toSorted((a, b) => a.at - b.at)
  let [most, sum, first] = [0, 0, 0]
  for (const { at, bytes } of sorted) {
    sum += bytes
    for (let from = sorted[first]; from && from.at <= at - 1000; from = sorted[++first]) sum -= from.bytes
    most = Math.max(most, sum)
  }
  return most
}

test('no second has more than 1.2 times the limit, and the limit is made use of', TIMED, async () => {
  const began = performance.now()
  await upload(0, [new RateLimit(4 * MB)], 6, 1.2 * MB)
  const seconds = (performance.now() - began) / 1000
  expect(busiestSecond(caches[0]?.arrivals ?? [])).toBeLessThan(1.2 * 4 * MB)
  expect(seconds).toBeGreaterThan(1.6)
  expect(seconds).toBeLessThan(2.8)
})

test('a limit for all holds for two destinations together, and each has its share', TIMED, async () => {
  const all = new RateLimit(4 * MB)
  const [slow, other] = [new RateLimit(1 * MB), new RateLimit()]
  await Promise.all([upload(0, [slow, all], 4, MB / 2), upload(1, [other, all], 4, 1.5 * MB)])
  const [first = [], second = []] = caches.map(({ arrivals }) => arrivals)
  expect(busiestSecond(first)).toBeLessThan(1.2 * MB)
  expect(busiestSecond([...first, ...second])).toBeLessThan(1.2 * 4 * MB)
  expect(busiestSecond(second)).toBeGreaterThan(2.4 * MB)
})

test('uploads side by side get on alike', TIMED, async () => {
  const ended = new AbortController()
  const uploading = upload(1, [new RateLimit(8 * MB)], 8, 10 * MB, ended.signal)
  const received = () => caches[1]?.seen.map(({ bytes }) => bytes) ?? []
  await sleep(500)
  const before = received()
  await sleep(1_500)
  const gains = received().map((bytes, at) => bytes - (before[at] ?? 0))
  ended.abort(new Error('seen enough'))
  await expect(uploading).rejects.toThrow('seen enough')
  expect(gains).toHaveLength(8)
  expect(Math.min(...gains)).toBeGreaterThan(0.5 * MB)
  expect(Math.max(...gains) - Math.min(...gains)).toBeLessThan(MB)
})

test('a limit can be changed, and taken away, while uploads are under way', async () => {
  const limit = new RateLimit(1000)
  const uploading = upload(0, [limit], 2, 3 * MB)
  await sleep(300)
  const received = () => caches[0]?.arrivals.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0
  expect(received()).toBeLessThan(5_000)
  limit.set(2 * MB)
  const changed = performance.now()
  await sleep(1_000)
  const faster = received()
  expect(faster).toBeGreaterThan(1 * MB)
  expect(faster).toBeLessThan((1.3 * 2 * MB * (performance.now() - changed)) / 1000)
  limit.set(undefined)
  const began = performance.now()
  await uploading
  // Sooner than the limit would have let it.
  expect((performance.now() - began) / 1000).toBeLessThan((6 * MB - faster) / (2 * MB))
  expect(received()).toBe(6 * MB)
})

test('what waits for its turn can be aborted', async () => {
  const limit = new RateLimit(10)
  await limit.take(1000, never)
  const ended = new AbortController()
  const waiting = limit.take(1, ended.signal)
  ended.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  limit.set(undefined)
})
