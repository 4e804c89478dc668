import { setTimeout as sleep } from 'node:timers/promises'

/** Work that may be interrupted at each `yield`, and returns its result. */
export type Steps<T> = Generator<undefined, T>

/** How long to work at a time, plus one step at most. */
const WORK_MS = 2
/** How long to pause then: half of the time is left to deliveries. */
const REST_MS = 2

/** Takes all steps without a pause. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/**
 * Takes the steps without delaying deliveries. It counts time, not steps: looking at a file that is not in memory, or removing
 * one, can take a thousand times as long as reading a name.
 */
export async function unhurried<T>(steps: Steps<T>): Promise<T> {
  let since = performance.now()
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    if (performance.now() - since < WORK_MS) continue
    await sleep(REST_MS)
    since = performance.now()
  }
}

/** Does something with each of many entries without delaying deliveries. */
export async function forEachUnhurried<T>(entries: Iterable<T>, act: (entry: T) => void): Promise<void> {
  await unhurried(stepsOver(entries, act))
}

function* stepsOver<T>(entries: Iterable<T>, act: (entry: T) => void): Steps<void> {
  for (const entry of entries) {
    act(entry)
    yield
  }
}
