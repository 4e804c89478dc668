// A thread that packs store paths: it reads, hashes and compresses them.
import { createHash, hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { hashText } from '../../nix/nar-hash.ts'
import { BufferPool } from '../../util/buffer-pool.ts'
import { Semaphore } from '../../util/semaphore.ts'
import { type CallContext, serveCalls } from '../../util/thread-server.ts'
import { ArchiveOutput } from './archive-output.ts'
import { compressAtOnce } from './compressor.ts'
import { NarBlocks } from './nar-blocks.ts'
import { NOT_AS_BUILT, type PackCall, type Packed } from './pack-call.ts'
import { sinkFor } from './sink.ts'

const BLOCK_BYTES = 512 * 1024
/** A path up to this size is packed without a pause. */
const SMALL_BYTES = BLOCK_BYTES

const pool = new BufferPool(BLOCK_BYTES)
/**
 * One is read while another one is compressed. More would only take memory: each compressor takes some megabytes, and `xz` a hundred.
 * Streams are few, and one may wait for its reader.
 */
const turns = new Semaphore(2)

serveCalls<PackCall, Packed>(
  (call, context) => {
    if (call.to !== 'bytes') return packStream(call, context)
    const isAtOnce = call.narSize <= SMALL_BYTES && typeof call.compression.by === 'string'
    return isAtOnce ? packAtOnce(call) : packInTurn(call, context)
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

async function packInTurn(call: PackCall, context: CallContext): Promise<Packed> {
  const giveBack = await turns.take(1, context.signal)
  try {
    return await packStream(call, context)
  } finally {
    giveBack()
  }
}

async function packStream(call: PackCall, { signal, send }: CallContext): Promise<Packed> {
  const nar = new NarBlocks(call.path, pool, call.wantsListing)
  const narHash = createHash('sha256')
  const output = new ArchiveOutput(call.to, send, pool)
  const sink = sinkFor(call.compression, output)
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
