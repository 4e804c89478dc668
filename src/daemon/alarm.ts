import { setImmediate as nextTurn } from 'node:timers/promises'

/** Lets one part of the program sleep until another rings. */
export class Alarm {
  #hasRung = true
  #wake: () => void = () => undefined
  isAsleep = false

  /** Ends the sleep, or the next one where nobody sleeps. */
  ring(): void {
    this.#hasRung = true
    this.#wake()
  }

  async sleep(): Promise<void> {
    this.isAsleep = true
    if (!this.#hasRung) await new Promise<void>((resolve) => (this.#wake = resolve))
    // A burst is handled in one turn.
    await nextTurn()
    this.isAsleep = false
    this.#hasRung = false
  }
}
