import { setImmediate as nextTurn } from 'node:timers/promises'

/** Gives the event loop its turn every few hundred entries: housekeeping must not hold up a delivery. */
export async function* unhurried<T>(entries: Iterable<T>): AsyncGenerator<T> {
  let count = 0
  for (const entry of entries) {
    yield entry
    if (++count % 200 === 0) await nextTurn()
  }
}
