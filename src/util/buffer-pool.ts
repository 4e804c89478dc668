/** Buffers of one size, used again and again. */
export class BufferPool {
  readonly #bytes: number
  readonly #free: Buffer<ArrayBuffer>[] = []

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  take(): Buffer<ArrayBuffer> {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#bytes)
  }

  giveBack(buffer: Buffer<ArrayBuffer>): void {
    this.#free.push(buffer)
  }
}
