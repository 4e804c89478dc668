import type { Dir } from 'node:fs'
import { openDirectory } from '../spool/read.ts'

/**
 * Reads `new/` a little at a time, from beginning to end and then from the beginning again, and remembers only where
 * it stands. A pass that found nothing to claim ends the scan until something has changed.
 */
export class Scan {
  readonly #directory: string
  #stream: Dir | undefined
  #isThrough = false
  #hasTaken = false
  #hasChanged = false
  #left = 0
  #leftLastPass = 0
  #startedAt = 0
  /** How long the last whole pass took, in ms: the next unasked-for one waits in proportion. */
  lastPassMs = 0

  constructor(directory: string) {
    this.#directory = directory
  }

  get isThrough(): boolean {
    return this.#isThrough
  }

  /** How many entries the last whole pass left where they are. */
  get left(): number {
    return this.#leftLastPass
  }

  /** Something changed: another pass is needed, since the present one may have passed that place already. */
  lookAgain(): void {
    this.#isThrough = false
    this.#hasChanged = true
  }

  /** The next name, or undefined when it is through. */
  next(): string | undefined {
    while (!this.#isThrough) {
      this.#stream ??= this.#open()
      const entry = this.#stream.readSync()
      if (entry) return entry.name
      this.close()
      this.lastPassMs = performance.now() - this.#startedAt
      this.#leftLastPass = this.#left
      this.#isThrough = !this.#hasTaken && !this.#hasChanged
    }
    return undefined
  }

  /** Says what became of the name that `next` gave. */
  note(became: 'taken' | 'left' | 'gone'): void {
    if (became === 'taken') this.#hasTaken = true
    if (became === 'left') this.#left++
  }

  close(): void {
    this.#stream?.closeSync()
    this.#stream = undefined
  }

  #open(): Dir {
    this.#hasTaken = false
    this.#hasChanged = false
    this.#left = 0
    this.#startedAt = performance.now()
    return openDirectory(this.#directory)
  }
}
