import { setImmediate as nextTurn } from 'node:timers/promises'

/** The event loop waits no longer than that, and one entry. */
const TURN_MS = 5

/**
 * Does something with each of many entries without holding up deliveries. It is time that is counted, not entries: to
 * look at a file that is not in memory, or to remove one, can take a thousand times as long as to read a name.
 */
export async function unhurried<T>(entries: Iterable<T>, act: (entry: T) => void): Promise<void> {
  let since = performance.now()
  for (const entry of entries) {
    act(entry)
    if (performance.now() - since < TURN_MS) continue
    await nextTurn()
    since = performance.now()
  }
}
