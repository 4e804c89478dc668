import { onAbort } from './on-abort.ts'

interface Waiting<T> {
  what: T
  go: () => void
}

/** A queue: callers wait for their turn, in the order in which they came. */
export class FifoQueue<T> {
  #waiting: Waiting<T>[] = []

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** The first in the queue. */
  get first(): T | undefined {
    return this.#waiting[0]?.what
  }

  /**
   * Waits for its turn. If the signal is aborted, it leaves the queue and rejects with the signal's reason.
   * @param what Passed to the caller of `shift`.
   * @param onJoined Called when it is in the queue: it may be its turn already.
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

  /** Takes the first out of the queue; its wait ends when its `go` is called. */
  shift(): Waiting<T> | undefined {
    return this.#waiting.shift()
  }
}
