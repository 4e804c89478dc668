import { createHash } from 'node:crypto'
import { hashText } from '../../nix/nar-hash.ts'
import type { BufferPool } from '../../util/buffer-pool.ts'
import type { CallContext } from '../../util/thread-server.ts'
import type { PackCall, Packed } from './pack-call.ts'

const EMPTY = Buffer.allocUnsafeSlow(0)

/** Takes an archive as it is made: hashes it, and keeps it whole, hands it over in chunks, or does neither. */
export class ArchiveOutput {
  readonly #to: PackCall['to']
  readonly #send: CallContext['send']
  readonly #pool: BufferPool
  readonly #hash = createHash('sha256')
  readonly #kept: Uint8Array<ArrayBuffer>[] = []
  #chunk = EMPTY
  #filled = 0
  #size = 0

  /**
   * @param to As in a `PackCall`.
   * @param send Hands over a chunk.
   * @param pool Chunks are made in its buffers, and go with them.
   */
  constructor(to: PackCall['to'], send: CallContext['send'], pool: BufferPool) {
    this.#to = to
    this.#send = send
    this.#pool = pool
  }

  /**
   * @param bytes Are copied: their memory may be used again.
   * @returns A promise if the reader is slower.
   */
  add(bytes: Buffer): Promise<void> | undefined {
    this.#hash.update(bytes)
    this.#size += bytes.length
    if (this.#to === 'bytes') this.#kept.push(Uint8Array.from(bytes))
    let held: Promise<void> | undefined
    if (this.#to !== 'chunks') return held
    for (let at = 0; at < bytes.length; ) {
      if (this.#chunk.length === 0) this.#chunk = this.#pool.take()
      const end = Math.min(bytes.length, at + this.#chunk.length - this.#filled)
      this.#chunk.set(bytes.subarray(at, end), this.#filled)
      this.#filled += end - at
      at = end
      if (this.#filled === this.#chunk.length) held = this.#flush()
    }
    return held
  }

  /** Hands the rest over. */
  end(): Promise<void> | undefined {
    return this.#filled > 0 ? this.#flush() : undefined
  }

  result(): Packed {
    const bytes = new Uint8Array(this.#kept.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of this.#kept) {
      bytes.set(part, at)
      at += part.length
      free(part.buffer)
    }
    return { bytes, fileHash: hashText(this.#hash.digest()), fileSize: this.#size }
  }

  #flush(): Promise<void> | undefined {
    const chunk = this.#chunk.subarray(0, this.#filled)
    this.#chunk = EMPTY
    this.#filled = 0
    return this.#send(chunk)
  }
}

/** Frees memory at once. V8 would let tens of megabytes accumulate, and then look through all objects for it. */
export function free(memory: ArrayBuffer): void {
  memory.transfer(0)
}
