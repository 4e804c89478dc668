import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Compression } from '../../config/compression.ts'
import { type ArchiveOutput, free } from './archive-output.ts'
import { compressorFor } from './compressor.ts'
import { COMPRESSOR_FAILED } from './pack-call.ts'

/** One block is read while this many are compressed. */
const BLOCKS_AHEAD = 2

/** The compressor is missing, or has ended: no path is to blame. */
class CompressorFailed extends Error {
  override name = COMPRESSOR_FAILED
}

/** Takes the blocks of an archive and passes them on to its output, compressed or as they are. */
export interface Sink {
  /** @param free To be called when the block is through. */
  write(block: Buffer<ArrayBuffer>, free: () => void): Promise<void>
  end(): Promise<void>
  destroy(): void
}

/** The sink for a compression, or for none. */
export function sinkFor(compression: Compression, output: ArchiveOutput): Sink {
  const compressor = compressorFor(compression)
  return compressor ? new CompressedSink(compressor, output) : new PlainSink(output)
}

class PlainSink implements Sink {
  readonly #output: ArchiveOutput

  constructor(output: ArchiveOutput) {
    this.#output = output
  }

  async write(block: Buffer<ArrayBuffer>, free: () => void): Promise<void> {
    const held = this.#output.add(block)
    free()
    await held
  }

  async end(): Promise<void> {}

  destroy(): void {}
}

class CompressedSink implements Sink {
  readonly #compressor: Duplex
  readonly #ended: Promise<void>
  #ahead = 0
  #goOn: () => void = () => undefined
  #error: unknown
  #memory: ArrayBuffer | undefined

  constructor(compressor: Duplex, output: ArchiveOutput) {
    this.#compressor = compressor
    compressor.on('data', (bytes: Buffer<ArrayBuffer>) => {
      this.#freeBefore(bytes.buffer)
      let held: Promise<void> | undefined
      try {
        held = output.add(bytes)
      } catch (error) {
        // Nobody wants it any more. An error thrown in an event handler would end the thread, with all its other work.
        this.#fail(error)
        return
      }
      if (!held) return
      compressor.pause()
      held.then(
        () => compressor.resume(),
        (error: unknown) => this.#fail(error),
      )
    })
    this.#ended = once(compressor, 'end').then(() => undefined)
    compressor.on('error', (error) => {
      this.#error ??= new CompressorFailed(error.message)
      this.#goOn()
    })
    this.#ended.catch(() => undefined)
  }

  async write(block: Buffer<ArrayBuffer>, free: () => void): Promise<void> {
    this.#ahead++
    this.#compressor.write(block, () => {
      free()
      this.#ahead--
      this.#goOn()
    })
    while (this.#ahead >= BLOCKS_AHEAD && this.#error === undefined) {
      await new Promise<void>((resolve) => {
        this.#goOn = resolve
      })
    }
    if (this.#error !== undefined) throw this.#error
  }

  async end(): Promise<void> {
    this.#compressor.end()
    await this.#ended.catch((error: unknown) => {
      throw this.#error ?? error
    })
    if (this.#memory) free(this.#memory)
  }

  destroy(): void {
    this.#compressor.destroy()
  }

  /** zlib's chunks are parts of larger memory, one behind the other. */
  #freeBefore(memory: ArrayBuffer): void {
    if (this.#memory && memory !== this.#memory) free(this.#memory)
    this.#memory = memory
  }

  #fail(error: unknown): void {
    this.#error ??= error
    this.#compressor.destroy()
    this.#goOn()
  }
}
