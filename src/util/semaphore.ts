import { FifoQueue } from './fifo-queue.ts'

/** Lets callers in while there is room, in the order in which they came. Each needs some amount of room. */
export class Semaphore {
  readonly #room: number
  #taken = 0
  readonly #waiting = new FifoQueue<number>()

  constructor(room: number) {
    this.#room = room
  }

  /**
   * Waits for room. A caller that needs more than the whole room waits until all is free.
   * @returns A function that gives back some of the room, or all that is left. It may be called more than once.
   * @throws The signal's reason, once that is aborted.
   */
  async take(room: number, signal: AbortSignal): Promise<(some?: number) => void> {
    if (this.#waiting.isEmpty && this.#fits(room)) {
      signal.throwIfAborted()
      this.#taken += room
    } else await this.#join(room, signal)
    let left = room
    return (some = left) => {
      const given = Math.min(some, left)
      left -= given
      this.#taken -= given
      this.#letIn()
    }
  }

  async #join(room: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#waiting.join(room, signal, () => this.#letIn())
    } catch (error) {
      // The next one may need less.
      this.#letIn()
      throw error
    }
  }

  #fits(room: number): boolean {
    return this.#taken === 0 || this.#taken + room <= this.#room
  }

  #letIn(): void {
    for (
      let first = this.#waiting.first;
      first !== undefined && this.#fits(first);
      first = this.#waiting.first
    ) {
      this.#taken += first
      this.#waiting.shift()?.go()
    }
  }
}
