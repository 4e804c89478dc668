/** Something that takes up room in the stage. */
export interface Stored {
  bytes: number
  /** So many are sending it just now. */
  pins: number
  /** When it was last of use, in ms of `performance.now()`. */
  usedAt: number
  /** Takes it off the disk, and out of wherever it is listed. */
  drop(): void
}

/** Room that was set aside. */
export interface Reservation {
  /** Puts something there for which so many bytes were set aside. */
  spend(bytes: number, stored: Stored): void
  /** Gives back what is left. */
  end(): void
}

/**
 * The room that a stage has. What nobody is sending goes when room is needed for something else, what was of no use for
 * longest first.
 */
export class Budget {
  readonly maxBytes: number
  readonly #stored = new Set<Stored>()
  #bytes = 0
  /** Bytes that are being staged. */
  #reserved = 0
  #waiting: (() => void)[] = []

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** Bytes that are staged or are being staged. */
  get bytes(): number {
    return this.#bytes + this.#reserved
  }

  get isEmpty(): boolean {
    return this.bytes === 0
  }

  /**
   * Sets so many bytes aside.
   * @param kept What is needed along with them, and so must not make room for them.
   * @returns undefined where there is no room. Where nothing is held by anybody, there is always
   * room, however large it is: it could never be sent otherwise.
   */
  reserve(bytes: number, kept: ReadonlySet<Stored>): Reservation | undefined {
    this.sweep(() => this.bytes + bytes > this.maxBytes, kept)
    const isHeld = this.#reserved > 0 || [...this.#stored].some(({ pins }) => pins > 0)
    if (this.bytes + bytes > this.maxBytes && isHeld) return undefined
    let left = bytes
    this.#reserved += bytes
    const giveBack = (some: number) => {
      left -= some
      this.#reserved -= some
    }
    return {
      spend: (some, stored) => {
        giveBack(Math.min(some, left))
        this.#stored.add(stored)
        this.#bytes += stored.bytes
      },
      end: () => {
        giveBack(left)
        this.#tell()
      },
    }
  }

  pin(stored: Stored): void {
    stored.pins++
  }

  unpin(stored: Stored): void {
    stored.pins--
    stored.usedAt = performance.now()
    this.#tell()
  }

  drop(stored: Stored): void {
    if (!this.#stored.delete(stored)) return
    this.#bytes -= stored.bytes
    stored.drop()
    this.#tell()
  }

  /**
   * Drops what nobody is sending, the least recently used first, as long as `isToGo` says so.
   * @param kept What stays in any case.
   */
  sweep(isToGo: (stored: Stored) => boolean, kept: ReadonlySet<Stored> = new Set()): void {
    const idle = [...this.#stored].filter((stored) => stored.pins === 0 && !kept.has(stored))
    for (const stored of idle.sort((a, b) => a.usedAt - b.usedAt)) {
      if (!isToGo(stored)) return
      this.drop(stored)
    }
  }

  /** Resolves when there may be more room than before. */
  freed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #tell(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
