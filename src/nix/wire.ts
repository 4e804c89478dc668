/** Every number takes this many bytes, and every text is padded with zeros to a multiple of it. */
const WORD = 8

/** The rest has not come in yet. */
class Incomplete extends Error {
  override name = 'Incomplete'
}

/**
 * Numbers and texts in the form of Nix's protocols and archives (nix: src/libutil/serialise.cc): a number has 64 bits,
 * little-endian; a text is its length in bytes, followed by the bytes.
 */
export function encode(values: readonly (number | string | Uint8Array)[]): Buffer {
  const parts = values.map((value) => (typeof value === 'string' ? Buffer.from(value) : value))
  const size = parts.reduce<number>((sum, part) => sum + sizeOf(part), 0)
  const bytes = Buffer.alloc(size)
  let at = 0
  for (const part of parts) {
    const number = typeof part === 'number' ? part : part.length
    bytes.writeUInt32LE(number % 2 ** 32, at)
    bytes.writeUInt32LE(Math.floor(number / 2 ** 32), at + 4)
    if (typeof part !== 'number') bytes.set(part, at + WORD)
    at += sizeOf(part)
  }
  return bytes
}

function sizeOf(part: number | Uint8Array): number {
  return typeof part === 'number' ? WORD : WORD + padded(part.length)
}

function padded(length: number): number {
  return Math.ceil(length / WORD) * WORD
}

/** Reads what `encode` writes, as it comes in. */
export class WireReader {
  #bytes = Buffer.alloc(0)
  #at = 0

  /** Adds what came in. */
  push(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), chunk])
    this.#at = 0
  }

  /**
   * Reads something that may not have come in completely.
   * @param read May be called again, from the beginning.
   * @returns Undefined if it isn't.
   */
  attempt<T>(read: (reader: this) => T): T | undefined {
    const from = this.#at
    try {
      return read(this)
    } catch (error) {
      if (!(error instanceof Incomplete)) throw error
      this.#at = from
      return undefined
    }
  }

  number(): number {
    const at = this.#take(WORD)
    return this.#bytes.readUInt32LE(at) + this.#bytes.readUInt32LE(at + 4) * 2 ** 32
  }

  text(): string {
    const length = this.number()
    const at = this.#take(padded(length))
    return this.#bytes.toString('utf8', at, at + length)
  }

  texts(): string[] {
    return Array.from({ length: this.number() }, () => this.text())
  }

  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#bytes.length) throw new Incomplete()
    this.#at += length
    return at
  }
}
