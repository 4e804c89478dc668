import { setTimeout as sleep } from 'node:timers/promises'

/** How long it works at a time, plus one entry at most. */
const WORK_MS = 2
/** How long it then pauses: half of the time is left to deliveries. */
const REST_MS = 2

/**
 * Does something with each of many entries without delaying deliveries. It counts time, not entries: looking at
 * a file that is not in memory, or removing one, can take a thousand times as long as reading a name.
 */
export async function unhurried<T>(entries: Iterable<T>, act: (entry: T) => void): Promise<void> {
  let since = performance.now()
  for (const entry of entries) {
    act(entry)
    if (performance.now() - since < WORK_MS) continue
    await sleep(REST_MS)
    since = performance.now()
  }
}
