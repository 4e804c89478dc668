/** Counts what one request sends, and takes it back where that was in vain. */
export class Meter {
  readonly #onBytes: (count: number) => void
  #sent = 0
  #isOver = false

  constructor(onBytes: (count: number) => void) {
    this.#onBytes = onBytes
  }

  add(bytes: number): void {
    // A chunk may still come out of the disk when the request has failed.
    if (this.#isOver) return
    this.#sent += bytes
    this.#onBytes(bytes)
  }

  takeBack(): void {
    this.#isOver = true
    if (this.#sent > 0) this.#onBytes(-this.#sent)
  }
}
