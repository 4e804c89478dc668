import type { AttemptContext, Layer } from './attempt.ts'
import type { OnBytes } from './transport.ts'

/** Counts bytes that go out, and subtracts those of failed attempts. */
export class ByteCounter {
  readonly #onBytes: OnBytes
  #sent = 0
  #isOver = false

  constructor(onBytes: OnBytes) {
    this.#onBytes = onBytes
  }

  add(bytes: number): void {
    // After the request has failed, the disk may still deliver a piece.
    if (this.#isOver) return
    this.#sent += bytes
    this.#onBytes(bytes)
  }

  takeBack(): void {
    this.#isOver = true
    if (this.#sent > 0) this.#onBytes(-this.#sent)
  }
}

/** The same context, but its count can be taken back. */
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

/** Takes back the count of a failed attempt. */
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
