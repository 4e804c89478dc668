// What is tried again, how many requests are under way at a time, and what ends one. Against a server that misbehaves.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { FlowOptions } from '../../src/transport/adaptive-concurrency.ts'
import { createHttpTransport } from '../../src/transport/http/http-transport.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { expectFailure, makeFile, never, putText, quickFlow } from '../cache/bed.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { openTcpGate } from '../support/servers/tcp-gate.ts'

let cache: MoodyCache
let dir: string

beforeAll(async () => {
  cache = await startMoodyCache()
  dir = await mkdtemp(join(tmpdir(), 'nix-upload-flow-'))
  return async () => {
    await cache.cleanup()
    await rm(dir, { recursive: true })
  }
})

const opened: Transport[] = []

afterEach(() => {
  cache.calm()
  for (const transport of opened.splice(0)) transport.close()
})

/** A way to the cache, and the flow that it takes. */
function open({
  to = cache.url,
  progressTimeoutMs = 20_000,
  ...flowOptions
}: Partial<FlowOptions> & { to?: string; progressTimeoutMs?: number } = {}) {
  const flow = quickFlow(flowOptions)
  const transport = createHttpTransport({ to, progressTimeoutMs, flow })
  opened.push(transport)
  return { flow, transport }
}

const names = (count: number) => Array.from({ length: count }, (_, at) => `${at}.narinfo`)

describe('a file that fails is sent again', () => {
  test.each([500, 502, 503, 504, 429, 408])('after a %i', async (status) => {
    cache.behave({ status, early: true }, { times: 2 })
    const { body } = await makeFile(join(dir, 'file'), 3_000_000)
    const counts: number[] = []
    await open().transport.put('nar/x', body, never, (count) => counts.push(count))
    expect(cache.count('PUT')).toBe(3)
    expect(counts.reduce((sum, count) => sum + count)).toBe(body.size)
  })

  test('when the connection breaks off in the midst of it', async () => {
    cache.behave({ dropAfter: 100_000 }, { times: 1 })
    const { body } = await makeFile(join(dir, 'file'), 3_000_000)
    const counts: number[] = []
    await open().transport.put('nar/x', body, never, (count) => counts.push(count))
    expect(counts.reduce((sum, count) => sum + count)).toBe(body.size)
    expect(Math.min(...counts)).toBeLessThan(0)
  })

  test('when the network resets the connection', async () => {
    const gate = await openTcpGate(cache.port)
    gate.fault = { afterBytes: 50_000, how: 'cut' }
    const { body } = await makeFile(join(dir, 'file'), 500_000)
    const put = open({ to: `http://127.0.0.1:${gate.port}` }).transport.put('nar/x', body, never, (count) => {
      if (count < 0) gate.fault = undefined
    })
    await put
    await gate.close()
  })

  test('but not for ever', async () => {
    cache.behave({ dropAfter: 0 })
    await expectFailure(putText(open().transport, 'x'), { says: /connection broke off/ })
    expect(cache.count('PUT')).toBe(5)
  })

  test('and not when that is no use', async () => {
    cache.behave({ status: 403 })
    await expectFailure(putText(open().transport, 'x'), { says: /403/, isOfOneFile: true })
    expect(cache.count('PUT')).toBe(1)
  })

  test('no sooner than Retry-After asks for, and nothing else goes out before', async () => {
    cache.behave({ status: 503, headers: { 'retry-after': '1' } }, { times: 1 })
    const { transport } = open()
    const began = performance.now()
    await putText(transport, 'first').catch(() => {})
    expect(performance.now() - began).toBeGreaterThan(990)
    cache.calm()
    cache.behave(
      { status: 429, headers: { 'retry-after': new Date(Date.now() + 1900).toUTCString() } },
      { times: 1 },
    )
    const again = performance.now()
    const both = Promise.all([putText(transport, 'a'), sleep(100).then(() => transport.get('b', never))])
    await both
    expect(performance.now() - again).toBeGreaterThan(850)
  })

  test('unless Retry-After asks for more patience than there is', async () => {
    cache.behave({ status: 503, headers: { 'retry-after': '3600' } })
    const began = performance.now()
    await expectFailure(putText(open().transport, 'x'), { says: /overloaded/ })
    expect(performance.now() - began).toBeLessThan(5_000)
    expect(cache.count('PUT')).toBe(1)
  })
})

describe('how many requests are under way', () => {
  test('grows while all goes well', async () => {
    cache.behave({ delayMs: 100 })
    const { flow, transport } = open({ most: 40 })
    expect(flow.window).toBe(16)
    await Promise.all(names(300).map((name) => transport.get(name, never)))
    expect(flow.window).toBe(40)
    // On a busy machine some have their answer before the last of them comes in.
    expect(cache.peak).toBeGreaterThan(25)
    expect(cache.peak).toBeLessThanOrEqual(40)
  })

  test('shrinks when the server asks for fewer, and all files come there all the same', async () => {
    cache.behave({ mostAtOnce: 4, delayMs: 5 })
    const { flow, transport } = open()
    let most = 0
    await Promise.all(
      names(300).map(async (name) => {
        await putText(transport, name)
        most = Math.max(most, flow.window)
      }),
    )
    const refused = cache.seen.filter(({ status }) => status === 503).length
    expect(cache.seen.filter(({ status }) => status === 201)).toHaveLength(300)
    expect(refused).toBeGreaterThan(0)
    // 16 at a time without a word would have had three in four refused.
    expect(refused).toBeLessThan(150)
    expect(flow.window).toBeLessThan(10)
    expect(most).toBeLessThan(30)
  })

  test('a storm of 503 that lasts for seconds is sat out', async () => {
    cache.behave({ status: 503, headers: { 'retry-after': '0' } })
    const { flow, transport } = open()
    const all = Promise.all(names(50).map((name) => putText(transport, name)))
    await sleep(2_500)
    cache.calm()
    await all
    expect(cache.count('PUT')).toBeLessThan(200)
    expect(flow.window).toBeLessThan(16)
  })

  test('a server that only ever says 503 is given up after a while', async () => {
    cache.behave({ status: 503 })
    const { transport } = open({ patienceMs: 500 })
    await expectFailure(putText(transport, 'x'), { says: /overloaded.*503/ })
  })
})

describe('a server that stalls', () => {
  test.each([
    ['before it reads anything', 0],
    ['in the midst of a file', 100_000],
  ])('%s: the request and its connection are ended', async (_, stallAfter) => {
    cache.behave({ stallAfter })
    const { body } = await makeFile(join(dir, 'stalled'), 30_000_000)
    const { transport } = open({ progressTimeoutMs: 300, attempts: 1 })
    const put = transport.put('nar/x', body, never, () => {})
    await expectFailure(put, { says: /nothing moved for/ })
    await expect.poll(() => cache.connections()).toBe(0)
  })

  test('in the midst of an answer', async () => {
    const uploader = open().transport
    await putText(uploader, 'x.narinfo', 'x'.repeat(100_000))
    uploader.close()
    cache.behave({ stallAfter: 10 })
    const { transport } = open({ progressTimeoutMs: 300, attempts: 1 })
    await expectFailure(transport.get('x.narinfo', never), { says: /nothing moved for/ })
    await expect.poll(() => cache.connections()).toBe(0)
  })

  test('a slow one is not taken for one', async () => {
    cache.behave({ bytesPerSecond: 40_000_000 })
    const { body } = await makeFile(join(dir, 'slow'), 40_000_000)
    await open({ progressTimeoutMs: 1_000, attempts: 1 }).transport.put('nar/x', body, never, () => {})
  })
})

test('what is aborted ends at once, waiting or under way, for the reason that was given', async () => {
  cache.behave({ stallAfter: 0 })
  const { transport } = open({ start: 2 })
  const { body } = await makeFile(join(dir, 'aborted'), 5_000_000)
  const controller = new AbortController()
  const reason = new Error('enough')
  const all = names(20).map((name) => transport.put(name, body, controller.signal, () => {}))
  const settled = Promise.allSettled(all)
  await sleep(100)
  const began = performance.now()
  controller.abort(reason)
  for (const result of await settled) expect(result).toEqual({ status: 'rejected', reason })
  expect(performance.now() - began).toBeLessThan(500)
  await expect.poll(() => cache.connections()).toBe(0)
})

test('a file that is shorter than it was is not sent, and is not the fault of the destination', async () => {
  const { body } = await makeFile(join(dir, 'short'), 1000)
  const put = open().transport.put('nar/x', { ...body, size: 2000 }, never, () => {})
  await expect(put).rejects.toThrow(/was cut short while it was sent: 1000 of 2000/)
})
