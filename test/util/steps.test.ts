import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { atOnce, forEachUnhurried, unhurried } from '../../src/util/steps.ts'

/** Holds the event loop up. */
function spin(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

/** How often the event loop has its turn until something is through. */
async function turnsDuring(work: Promise<void>): Promise<number> {
  let isOver = false
  let turns = 0
  void work.then(() => {
    isOver = true
  })
  while (!isOver) {
    await nextTurn()
    turns++
  }
  return turns
}

test('steps that take long do not hold up the event loop', async () => {
  const turns = await turnsDuring(forEachUnhurried(Array(20).keys(), () => spin(3)))
  expect(turns).toBeGreaterThanOrEqual(20)
})

test('the result of all steps is returned, with pauses and without', async () => {
  function* sum() {
    let sum = 0
    for (const number of [1, 2, 3]) {
      sum += number
      spin(3)
      yield
    }
    return sum
  }
  expect([atOnce(sum()), await unhurried(sum())]).toEqual([6, 6])
})
