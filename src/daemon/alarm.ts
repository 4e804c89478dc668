import { setImmediate as nextTurn } from 'node:timers/promises'

/** Lets one sleep until another rings. */
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
    // What comes in a burst is one turn's work.
    await nextTurn()
    this.isAsleep = false
    this.#hasRung = false
  }
}
