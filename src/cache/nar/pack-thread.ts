// A thread that packs store paths: it reads, hashes and compresses them.
import { createHash, hash } from 'node:crypto'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { hashText } from '../../nix/nar-hash.ts'
import { BufferPool } from '../../util/buffer-pool.ts'
import { type CallContext, serveCalls } from '../../util/thread-server.ts'
import { compressAtOnce, compressorFor } from './compressor.ts'
import { NarBlocks } from './nar-blocks.ts'
import { COMPRESSOR_FAILED, NOT_AS_BUILT, type PackCall, type Packed } from './pack-call.ts'

const BLOCK_BYTES = 512 * 1024
/** A path up to this size is packed without a pause. */
const SMALL_BYTES = BLOCK_BYTES
/** One is read while this many are compressed. */
const BLOCKS_AHEAD = 2

const pool = new BufferPool(BLOCK_BYTES)

serveCalls<PackCall, Packed>(
  (call, context) => {
    const isAtOnce =
      call.to === 'bytes' && call.narSize <= SMALL_BYTES && typeof call.compression.by === 'string'
    return isAtOnce ? packAtOnce(call) : packStream(call, context)
  },
  { onReturn: (buffer) => pool.giveBack(Buffer.from(buffer)), memoryOf: ({ bytes }) => [bytes.buffer] },
)

/** The class of error that says so; its name is what crosses to the other thread. */
class NotAsBuilt extends Error {
  override name = NOT_AS_BUILT
}

function check({ path, narHash, narSize }: PackCall, size: number, hash: string): void {
  if (size === narSize && hash === narHash) return
  throw new NotAsBuilt(`the content of ${path} is not what was registered: ${hash} instead of ${narHash}`)
}

function packAtOnce(call: PackCall): Packed {
  const nar = new NarBlocks(call.path, pool, call.wantsListing)
  const blocks: Buffer<ArrayBuffer>[] = []
  const buffers: Buffer<ArrayBuffer>[] = []
  let size = 0
  try {
    for (const { bytes, buffer } of nar.blocks()) {
      size += bytes.length
      blocks.push(bytes)
      buffers.push(buffer)
      // It has grown.
      if (size > call.narSize) break
    }
    const [only, ...more] = blocks
    const whole = more.length === 0 && only ? only : Buffer.concat(blocks)
    check(call, size, hashText(hash('sha256', whole, 'buffer')))
    const bytes = compressAtOnce(whole, call.compression)
    const fileHash = hashText(hash('sha256', bytes, 'buffer'))
    return { bytes, fileHash, fileSize: bytes.length, listing: nar.listing }
  } finally {
    for (const buffer of buffers) pool.giveBack(buffer)
  }
}

async function packStream(call: PackCall, { signal, send }: CallContext): Promise<Packed> {
  const nar = new NarBlocks(call.path, pool, call.wantsListing)
  const narHash = createHash('sha256')
  const output = new Output(call, send)
  const compressor = compressorFor(call.compression)
  const sink = compressor ? new CompressedSink(compressor, output) : new PlainSink(output)
  let size = 0
  try {
    for (const { bytes, buffer } of nar.blocks()) {
      const free = () => pool.giveBack(buffer)
      try {
        size += bytes.length
        if (size > call.narSize) check(call, size, 'more than there was')
        // The compressor is at work on the one before meanwhile.
        narHash.update(bytes)
      } catch (error) {
        free()
        throw error
      }
      await sink.write(bytes, free)
      await nextTurn()
      signal.throwIfAborted()
    }
    // Before the end of the archive is sent: a damaged path is never complete anywhere.
    check(call, size, hashText(narHash.digest()))
    await sink.end()
    await output.end()
  } catch (error) {
    sink.destroy()
    throw error
  }
  return { ...output.result(), listing: nar.listing }
}

/** Frees memory at once. V8 doesn't count this memory, and would let tens of megabytes accumulate. */
function free(memory: ArrayBuffer): void {
  memory.transfer(0)
}

/** Where an archive goes as it is made. */
class Output {
  readonly #to: PackCall['to']
  readonly #send: CallContext['send']
  readonly #hash = createHash('sha256')
  readonly #kept: Uint8Array<ArrayBuffer>[] = []
  #chunk = EMPTY
  #filled = 0
  #size = 0

  constructor({ to }: PackCall, send: CallContext['send']) {
    this.#to = to
    this.#send = send
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
      if (this.#chunk.length === 0) this.#chunk = pool.take()
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

const EMPTY = Buffer.allocUnsafeSlow(0)

/** Takes the blocks of an archive. */
interface Sink {
  /** @param free To be called when the block is through. */
  write(block: Buffer<ArrayBuffer>, free: () => void): Promise<void>
  end(): Promise<void>
  destroy(): void
}

class PlainSink implements Sink {
  readonly #output: Output

  constructor(output: Output) {
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

  constructor(compressor: Duplex, output: Output) {
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

/** The compressor is missing, or has ended: no path is to blame. */
class CompressorFailed extends Error {
  override name = COMPRESSOR_FAILED
}
