interface Waiting<T> {
  what: T
  signal: AbortSignal
  go: () => void
  fail: (reason: unknown) => void
}

/** Those who wait for their turn, in the order they came. */
export class WaitingLine<T> {
  #waiting: Waiting<T>[] = []
  /** One listener for all who have the same signal: each looks through all that a signal has before it is added. */
  readonly #listeners = new Map<AbortSignal, () => void>()

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /**
   * Waits until it is let go. Rejects with the signal's reason, and leaves the line then.
   * @param what Handed to who lets it go.
   * @param onJoined Called when it stands in the line: it may be its turn already.
   */
  async join(what: T, signal: AbortSignal, onJoined: () => void): Promise<void> {
    signal.throwIfAborted()
    await new Promise<void>((go, fail) => {
      this.#listen(signal)
      this.#waiting.push({ what, signal, go, fail })
      onJoined()
    })
  }

  /** Takes the first out of the line; it goes when its `go` is called. */
  shift(): { what: T; go: () => void } | undefined {
    const first = this.#waiting.shift()
    if (this.isEmpty) this.#listenNoMore()
    return first
  }

  #listen(signal: AbortSignal): void {
    if (this.#listeners.has(signal)) return
    const leave = () => {
      const isLeaving = (waiting: Waiting<T>) => waiting.signal === signal
      const leaving = this.#waiting.filter(isLeaving)
      this.#waiting = this.#waiting.filter((waiting) => !isLeaving(waiting))
      this.#listeners.delete(signal)
      for (const { fail } of leaving) fail(signal.reason)
    }
    this.#listeners.set(signal, leave)
    signal.addEventListener('abort', leave, { once: true })
  }

  #listenNoMore(): void {
    for (const [signal, leave] of this.#listeners) signal.removeEventListener('abort', leave)
    this.#listeners.clear()
  }
}
