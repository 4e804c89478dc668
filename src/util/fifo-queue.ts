import { onAbort } from './on-abort.ts'

interface Waiting<T> {
  what: T
  go: () => void
}

/** Those who wait for their turn, in the order they came. */
export class FifoQueue<T> {
  #waiting: Waiting<T>[] = []

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** What waits for its turn next. */
  get first(): T | undefined {
    return this.#waiting[0]?.what
  }

  /**
   * Waits until it is let go. Rejects with the signal's reason, and leaves the line then.
   * @param what Handed to who lets it go.
   * @param onJoined Called when it stands in the line: it may be its turn already.
   */
  async join(what: T, signal: AbortSignal, onJoined: () => void): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const stop = onAbort(signal, () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
        reject(signal.reason)
      })
      const waiting: Waiting<T> = {
        what,
        go: () => {
          stop()
          resolve()
        },
      }
      this.#waiting.push(waiting)
      onJoined()
    })
  }

  /** Takes the first out of the line; it goes when its `go` is called. */
  shift(): Waiting<T> | undefined {
    return this.#waiting.shift()
  }
}
