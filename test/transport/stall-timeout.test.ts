// A server that takes and sends nothing any more is left alone; one that is slow is not, and our own time is our own.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type Attempt, plainContext } from '../../src/transport/attempt.ts'
import { stallTimeout } from '../../src/transport/stall-timeout.ts'
import { expectFailure, MIB, never, put, putText, stream } from './bed.ts'
import { moodyBed } from './moody-bed.ts'

const STALLED = /takes and sends nothing any more.*nothing moved for/

const bed = moodyBed()
const open = (progressTimeoutMs: number) => bed.open({ progressTimeoutMs, attempts: 1 }).transport

describe('a server that stalls', () => {
  test.each([
    ['before it reads anything', 0],
    ['in the midst of a file', 100_000],
  ])('%s: the request and its connection are ended', async (_, stallAfter) => {
    bed.cache.behave({ stallAfter })
    await expectFailure(put(open(300), 'nar/x', stream(30 * MIB)), { says: STALLED })
    await expect.poll(() => bed.cache.connections()).toBe(0)
  })

  test('in the midst of an answer', async () => {
    const writer = open(20_000)
    await putText(writer, 'x.narinfo', 'x'.repeat(100_000))
    writer.close()
    bed.cache.behave({ stallAfter: 10 })
    const transport = open(300)
    await expectFailure(transport.get('x.narinfo', never), { says: STALLED })
    transport.close()
    await expect.poll(() => bed.cache.connections()).toBe(0)
  })
})

describe('a slow one is not taken for one', () => {
  test.each([
    ['a stream', stream(12 * MIB)],
    ['a part that is in memory', Buffer.alloc(12 * MIB)],
  ])('%s', async (_, body) => {
    bed.cache.behave({ bytesPerSecond: 8_000_000 })
    expect(await put(open(1_000), 'nar/x', body)).toMatchObject({ sent: 12 * MIB })
  })
})

/** Makes an attempt with a time-out of 200 ms. */
const within200 = <R>(attempt: Attempt<R>, signal = never) =>
  stallTimeout(200)((inner, context) => inner(context))(
    attempt,
    plainContext(signal, () => undefined),
  )

/** So many bytes, so often, 20 ms apart. */
const trickling = (bytes: number, times: number) =>
  within200(async ({ beforeBytes, signal }) => {
    for (let time = 0; time < times; time++) {
      await beforeBytes(bytes)
      await sleep(20, undefined, { signal })
    }
    return 'done'
  })

test('a byte now and then is a stall, 64 KiB within the time-out are none', async () => {
  await expect(trickling(1, 50)).rejects.toThrow(STALLED)
  await expect(trickling(1024, 50)).rejects.toThrow(STALLED)
  expect(await trickling(32 * 1024, 25)).toBe('done')
})

test('what is taken back is no movement, and none is taken away for it', async () => {
  const back = within200(async ({ beforeBytes }) => {
    await beforeBytes(-10 * MIB)
    for (let time = 0; time < 20; time++) {
      await beforeBytes(64 * 1024)
      await sleep(20)
    }
    return 'done'
  })
  expect(await back).toBe('done')
})

test('time that we take ourselves does not count, and the rest does', async () => {
  const own = within200(async ({ ownWait }) => {
    await sleep(100)
    await ownWait(sleep(400))
    await Promise.all([ownWait(sleep(300)), ownWait(sleep(50))])
    return 'done'
  })
  expect(await own).toBe('done')
  const mixed = within200(async ({ ownWait, signal }) => {
    await sleep(150)
    await ownWait(sleep(100))
    await sleep(150, undefined, { signal })
  })
  await expect(mixed).rejects.toThrow(STALLED)
})

test('a limit that holds bytes back is no stall', async () => {
  const held = stallTimeout(200)((inner, context) => inner(context))(
    async ({ beforeBytes }) => {
      await beforeBytes(10)
      return 'done'
    },
    { ...plainContext(never, () => undefined), beforeBytes: () => sleep(500) },
  )
  expect(await held).toBe('done')
})

test('whoever heeds no signal is let go of all the same', async () => {
  await expect(within200(() => new Promise(() => undefined))).rejects.toThrow(STALLED)
  const ended = new AbortController()
  const waiting = within200(() => new Promise(() => undefined), ended.signal)
  ended.abort(new Error('enough'))
  await expect(waiting).rejects.toThrow('enough')
  await expect(within200(async () => 'never made', ended.signal)).rejects.toThrow('enough')
})
