import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { unhurried } from '../../src/spool/unhurried.ts'

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

test('entries that take long do not hold up the event loop', async () => {
  expect(await turnsDuring(unhurried(Array(20).keys(), () => spin(3)))).toBeGreaterThanOrEqual(20)
})
