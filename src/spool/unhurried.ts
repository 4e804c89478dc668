import { setTimeout as sleep } from 'node:timers/promises'

/** So long at a stretch, and one entry more at most. */
const WORK_MS = 2
/** Then so long not at all: half of the time is the deliveries' alone. */
const REST_MS = 2

/**
 * Does something with each of many entries without holding up deliveries. It is time that is counted, not entries: to
 * look at a file that is not in memory, or to remove one, can take a thousand times as long as to read a name.
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
