import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { BusyLimit, forEachAtOnce } from '../../src/util/busy-limit.ts'

const forever = new AbortController().signal

/** Does something many times. @returns How many were under way at once at most. */
async function most(times: number, act: () => Promise<unknown>): Promise<number> {
  let [underway, most] = [0, 0]
  await forEachAtOnce(Array.from({ length: times }), forever, async () => {
    most = Math.max(most, ++underway)
    await act()
    underway--
  })
  return most
}

describe('how many are under way at once', () => {
  test('few where all is done on the spot, since more would only wait', async () => {
    const work = async () => {
      await nextTurn()
      for (const until = performance.now() + 1; performance.now() < until; );
    }
    expect(await most(500, work)).toBe(32)
  })

  test('hundreds where each waits for a network', async () => {
    expect(await most(3000, () => sleep(100))).toBeGreaterThan(200)
  })

  test('never more than 512', async () => {
    expect(await most(3000, () => sleep(500))).toBeLessThanOrEqual(512)
  })

  test('again few when the work becomes more than the waiting', async () => {
    const limit = new BusyLimit()
    let [underway, mostLate] = [0, 0]
    const all: Promise<void>[] = []
    for (let at = 0; at < 2000; at++) {
      const leave = await limit.take(forever)
      underway++
      if (at >= 1900) mostLate = Math.max(mostLate, underway)
      const isLate = at >= 1000
      all.push(
        (isLate ? nextTurn() : sleep(100)).then(() => {
          for (const until = performance.now() + (isLate ? 1 : 0); performance.now() < until; );
          underway--
          leave()
        }),
      )
    }
    await Promise.all(all)
    expect(mostLate).toBe(32)
  })
})

test('who waits for a place leaves the line when the signal is aborted', async () => {
  const limit = new BusyLimit()
  const leaves = await Promise.all(Array.from({ length: 32 }, () => limit.take(forever)))
  const ended = new AbortController()
  const waiting = limit.take(ended.signal)
  ended.abort(new Error('it is over'))
  await expect(waiting).rejects.toThrow('it is over')
  for (const leave of leaves) leave()
})

describe('forEachAtOnce', () => {
  test('throws the first error, and ends the others', async () => {
    const ended: number[] = []
    const all = forEachAtOnce([1, 2, 3], forever, async (item, signal) => {
      if (item === 2) throw new Error('two is no good')
      await sleep(60_000, undefined, { signal }).catch(() => ended.push(item))
    })
    await expect(all).rejects.toThrow('two is no good')
    await nextTurn()
    expect(ended.sort()).toEqual([1, 3])
  })

  test('throws the reason of an aborted signal, also if it has not begun', async () => {
    const signal = AbortSignal.abort(new Error('stop'))
    await expect(forEachAtOnce([1], signal, () => Promise.resolve())).rejects.toThrow('stop')
  })
})
