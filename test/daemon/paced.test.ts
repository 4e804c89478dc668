import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Paced } from '../../src/daemon/paced.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

test('is found out once for all who ask at a time, and anew for who asks later', async () => {
  let runs = 0
  const paced = new Paced(
    function* () {
      yield
      return ++runs
    },
    1000,
    1,
  )
  expect(await Promise.all([paced.get(), paced.get(), paced.get()])).toEqual([1, 1, 1])
  vi.advanceTimersByTime(999)
  expect(await paced.get()).toBe(1)
  vi.advanceTimersByTime(1)
  expect(await paced.get()).toBe(2)
  paced.outdate()
  expect(await paced.get()).toBe(3)
})

test('where it takes long, it is done in a part of the time', async () => {
  let runs = 0
  const paced = new Paced(
    function* () {
      yield
      vi.advanceTimersByTime(400)
      return ++runs
    },
    1000,
    20,
  )
  await paced.get()
  vi.advanceTimersByTime(7999)
  expect(await paced.get()).toBe(1)
  vi.advanceTimersByTime(1)
  expect(await paced.get()).toBe(2)
})

test('a failure is told to all who asked, and tried again', async () => {
  let runs = 0
  const paced = new Paced(
    // biome-ignore lint/correctness/useYield: it fails before.
    function* (): Generator<undefined, number> {
      if (++runs === 1) throw new Error('no')
      return runs
    },
    0,
    0,
  )
  await Promise.all([expect(paced.get()).rejects.toThrow('no'), expect(paced.get()).rejects.toThrow('no')])
  expect(await paced.get()).toBe(2)
})
