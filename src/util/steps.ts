import { setImmediate as nextTurn } from 'node:timers/promises'

/** Work that yields now and then, for others to have their turn, and returns what comes of it. */
export type Steps<T> = Generator<undefined, T>

/** Takes all steps at one go. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** Takes the steps one by one; whatever else the event loop has to do is done between them. */
export async function besideOthers<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    await nextTurn()
  }
}
