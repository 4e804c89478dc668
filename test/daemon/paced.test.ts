import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { Paced } from '../../src/daemon/paced.ts'

test('is found out once for all who ask at a time, and anew for who asks later', async () => {
  let runs = 0
  const paced = new Paced(
    function* () {
      yield
      return ++runs
    },
    50,
    1,
  )
  expect(await Promise.all([paced.get(), paced.get(), paced.get()])).toEqual([1, 1, 1])
  expect(await paced.get()).toBe(1)
  await sleep(60)
  expect(await paced.get()).toBe(2)
  paced.outdate()
  expect(await paced.get()).toBe(3)
})

test('where it takes long, it is done in a part of the time, and others have their turn meanwhile', async () => {
  let runs = 0
  const paced = new Paced(
    function* () {
      for (const until = performance.now() + 40; performance.now() < until; ) yield
      return ++runs
    },
    0,
    20,
  )
  let turns = 0
  const others = setInterval(() => turns++, 1)
  await paced.get()
  clearInterval(others)
  expect(turns).toBeGreaterThan(3)
  await sleep(200)
  expect(await paced.get()).toBe(1)
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
