// What is made again, and when. Against a server that misbehaves.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { retried } from '../../src/transport/adaptive-concurrency.ts'
import { layered, plainContext } from '../../src/transport/attempt.ts'
import { TransportFailure } from '../../src/transport/transport-failure.ts'
import { openTcpGate } from '../support/servers/tcp-gate.ts'
import { expectFailure, makeFile, never, put, putText, quickConcurrency, temporaryDirectory } from './bed.ts'
import { moodyBed, type OpenOptions } from './moody-bed.ts'

const bed = moodyBed()
const open = (options?: OpenOptions) => bed.open(options).transport

async function file(size: number) {
  return (await makeFile(join(await temporaryDirectory(), 'file'), size)).body
}

test.each([500, 502, 503, 504, 429, 408])('a file is sent again after a %i', async (status) => {
  bed.cache.behave({ status, early: true }, { times: 2 })
  const body = await file(3_000_000)
  expect(await put(open(), 'nar/x', body)).toMatchObject({ sent: body.size })
  expect(bed.cache.count('PUT')).toBe(3)
})

test('when the connection breaks off in the midst of it, and what went out then is not counted', async () => {
  bed.cache.behave({ dropAfter: 100_000 }, { times: 1 })
  const body = await file(3_000_000)
  const { sent, counts } = await put(open(), 'nar/x', body)
  expect(sent).toBe(body.size)
  expect(Math.min(...counts)).toBeLessThan(0)
})

test('when the network resets the connection', async () => {
  const gate = await openTcpGate(bed.cache.port)
  gate.fault = { afterBytes: 50_000, how: 'cut' }
  const body = await file(500_000)
  const upload = { name: 'nar/x', contentType: 'x/y', body }
  let retries = 0
  await open({ to: `http://127.0.0.1:${gate.port}` }).put(upload, never, (count) => {
    if (count >= 0) return
    retries++
    gate.fault = undefined
  })
  expect(retries).toBe(1)
  await gate.close()
})

test('but not for ever', async () => {
  bed.cache.behave({ dropAfter: 0 })
  await expectFailure(putText(open(), 'x'), { says: /connection broke off/ })
  expect(bed.cache.count('PUT')).toBe(5)
})

test('and not when that is no use', async () => {
  bed.cache.behave({ status: 403 })
  await expectFailure(putText(open(), 'x'), { says: /403/, isOfOneFile: true })
  expect(bed.cache.count('PUT')).toBe(1)
})

test('no sooner than Retry-After asks for, and nothing else goes out before', async () => {
  bed.cache.behave({ status: 503, headers: { 'retry-after': '1' } }, { times: 1 })
  const transport = open()
  const began = performance.now()
  await putText(transport, 'first')
  expect(performance.now() - began).toBeGreaterThan(990)
  bed.cache.calm()
  const date = new Date(Date.now() + 1900).toUTCString()
  bed.cache.behave({ status: 429, headers: { 'retry-after': date } }, { times: 1 })
  const again = performance.now()
  await Promise.all([putText(transport, 'a'), sleep(100).then(() => transport.get('b', never))])
  expect(performance.now() - again).toBeGreaterThan(850)
})

test('unless Retry-After asks for more patience than there is', async () => {
  bed.cache.behave({ status: 503, headers: { 'retry-after': '3600' } })
  const began = performance.now()
  await expectFailure(putText(open(), 'x'), { says: /overloaded/ })
  expect(performance.now() - began).toBeLessThan(5_000)
  expect(bed.cache.count('PUT')).toBe(1)
})

test('what Retry-After asks for keeps no process running in which nobody waits', async () => {
  bed.cache.behave({ status: 503, headers: { 'retry-after': '3600' } })
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const before = timers()
  const transport = open()
  await expectFailure(putText(transport, 'x'), { says: /overloaded/ })
  // Timers of the test's own may have ended meanwhile.
  expect(timers()).toBeLessThanOrEqual(before)
  const leaving = new AbortController()
  const waiting = transport.get('x', leaving.signal)
  await sleep(50)
  leaving.abort()
  await expect(waiting).rejects.toThrow()
  expect(timers()).toBeLessThanOrEqual(before)
})

test('a server that only ever says 503 is given up after a while', async () => {
  bed.cache.behave({ status: 503 })
  await expectFailure(putText(open({ patienceMs: 500 }), 'x'), { says: /overloaded.*503/ })
})

test.each([
  ['never', 1],
  ['soon', 5],
  ['slower', 40],
] as const)('a failure of which it is said "%s" is made %i times', async (retry, times) => {
  let made = 0
  const concurrency = quickConcurrency({ minWaitMs: 1, maxWaitMs: 1 })
  const attempts = layered(retried(concurrency))
  const fail = async () => {
    made++
    throw new TransportFailure({ retry, means: 'no' }, 'why')
  }
  await expect(
    attempts(
      fail,
      plainContext(never, () => undefined),
    ),
  ).rejects.toThrow('no; why')
  expect(made).toBe(times)
})

test('what fails for a reason of its own is not made again', async () => {
  let made = 0
  const attempts = layered(retried(quickConcurrency()))
  const fail = async () => {
    made++
    throw new Error('ours')
  }
  await expect(
    attempts(
      fail,
      plainContext(never, () => undefined),
    ),
  ).rejects.toThrow('ours')
  expect(made).toBe(1)
})
