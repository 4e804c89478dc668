import type { AttemptContext, Layer } from './attempt.ts'
import type { OnBytes } from './transport.ts'

/** Counts what goes out, and takes it back where that was in vain. */
export class ByteCounter {
  readonly #onBytes: OnBytes
  #sent = 0
  #isOver = false

  constructor(onBytes: OnBytes) {
    this.#onBytes = onBytes
  }

  add(bytes: number): void {
    // A piece may still come out of the disk when the request has failed.
    if (this.#isOver) return
    this.#sent += bytes
    this.#onBytes(bytes)
  }

  takeBack(): void {
    this.#isOver = true
    if (this.#sent > 0) this.#onBytes(-this.#sent)
  }
}

/** The same context, but what is counted with it can be taken back. */
export function revocable(context: AttemptContext): { context: AttemptContext; takeBack: () => void } {
  let sent = 0
  let isOver = false
  const beforeBytes = (count: number) => {
    if (isOver) return undefined
    sent += count
    return context.beforeBytes(count)
  }
  const takeBack = () => {
    isOver = true
    if (sent > 0) void context.beforeBytes(-sent)
  }
  return { context: { ...context, beforeBytes }, takeBack }
}

/** Takes back what a failed attempt has counted. */
export function counted(): Layer {
  return (inner) => async (attempt, context) => {
    const counting = revocable(context)
    try {
      return await inner(attempt, counting.context)
    } catch (error) {
      counting.takeBack()
      throw error
    }
  }
}
