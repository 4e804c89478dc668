import { createHash } from 'node:crypto'
import type { Compression } from '../config/compression.ts'
import type { StoreObject } from '../nix/store-server.ts'
import { AT_ONCE_BYTES } from '../transport/outgoing.ts'
import type { OnBytes, Transport } from '../transport/transport.ts'
import { settledUnlessAborted } from '../util/on-abort.ts'
import { Semaphore } from '../util/semaphore.ts'
import { UploadFailure } from '../util/verdict.ts'
import { versionOf } from './compressor-version.ts'
import { contentTypeOf } from './content-type.ts'
import { free } from './nar/archive-output.ts'
import type { Listing } from './nar/nar-blocks.ts'
import type { PackCall, Packed } from './nar/pack-call.ts'
import type { Packer } from './nar/packer.ts'
import type { Archive } from './narinfo.ts'

/** Paths up to this size are packed in memory, and their archives are named by their hash, as Nix does it. */
const SMALL_BYTES = 4 * 1024 * 1024
/** At most this many bytes of small paths are in memory at a time, until they are sent. */
const MEMORY_BYTES = 16 * 1024 * 1024
/** Smaller archives are sent without asking whether they are there: asking would take as long. */
const ASKED_BYTES = 64 * 1024

/** No archive has this name: the hash of nothing has another. */
const NO_ARCHIVE = `nar/${'0'.repeat(52)}.nar`

/** An archive that is at the destination now. */
export interface Uploaded {
  archive: Archive
  listing: Listing | undefined
}

/** How one archive goes out. */
interface Sending {
  object: StoreObject
  signal: AbortSignal
  onBytes: OnBytes
}

/**
 * Sends archives to a cache: one stream from the store to there, nothing in between on a disk. One that is there already
 * is not sent again.
 */
export class ArchiveUpload {
  readonly #transport: Transport
  readonly #packer: Packer
  readonly #compression: Compression
  readonly #wantsListing: boolean
  readonly #memory = new Semaphore(MEMORY_BYTES)
  readonly #streams: Semaphore
  #isHeadKnown: boolean | undefined
  /** Archives that are under way, by name: two paths with the same content share one. */
  readonly #underway = new Map<string, Promise<Uploaded>>()

  constructor(transport: Transport, packer: Packer, compression: Compression, wantsListing: boolean) {
    this.#transport = transport
    this.#packer = packer
    this.#compression = compression
    this.#wantsListing = wantsListing
    // While one waits for the network, another one is packed.
    this.#streams = new Semaphore(packer.jobs + 1)
  }

  /**
   * Has the archive of a path at the destination.
   * @throws {UploadFailure} if it is not there afterwards.
   */
  async send(object: StoreObject, signal: AbortSignal, onBytes: OnBytes): Promise<Uploaded> {
    const sending = { object, signal, onBytes }
    return object.narSize <= SMALL_BYTES ? await this.#sendSmall(sending) : await this.#sendLarge(sending)
  }

  async #sendSmall(sending: Sending): Promise<Uploaded> {
    const { object, signal } = sending
    const giveBack = await this.#memory.take(object.narSize, signal)
    try {
      const packed = await this.#packer.pack(this.#call(object, 'bytes'), signal)
      giveBack(Math.max(0, object.narSize - packed.fileSize))
      const name = this.#name(packed.fileHash.slice('sha256:'.length))
      return await this.#once(name, signal, async () => {
        const isThere = packed.fileSize > ASKED_BYTES && (await this.#has(name, packed.fileSize, signal))
        if (!isThere) await this.#put(name, packed.fileSize, packed.bytes, sending)
        if (packed.fileSize > AT_ONCE_BYTES) free(packed.bytes.buffer)
        return this.#uploaded(name, packed)
      })
    } finally {
      giveBack()
    }
  }

  /** The hash of the compressed archive is known only at its end, so its name has the hash of the NAR. */
  async #sendLarge(sending: Sending): Promise<Uploaded> {
    const { object, signal } = sending
    const name = this.#name(`${object.narHash.slice('sha256:'.length)}${this.#tag()}`)
    return await this.#once(name, signal, async () => {
      const giveBack = await this.#streams.take(1, signal)
      try {
        const found = await this.#transport.head(name, signal)
        if (found && (found.size !== undefined || (await this.#knowsHead(signal)))) {
          // An earlier upload may have been cut short, at a server that keeps partial files.
          const packed = await this.#packer.pack(this.#call(object, 'nowhere'), signal)
          if ((found.size ?? packed.fileSize) === packed.fileSize) return this.#uploaded(name, packed)
        }
        return this.#uploaded(name, await this.#stream(name, sending))
      } finally {
        giveBack()
      }
    })
  }

  async #stream(name: string, sending: Sending): Promise<Packed> {
    const { object } = sending
    const { narSize } = object
    let packed: (() => Packed) | undefined
    const body = {
      size: this.#compression.by === 'nothing' ? narSize : undefined,
      // Incompressible data gets a little larger.
      atMost: narSize + Math.ceil(narSize / 128) + 1024,
      open: (signal: AbortSignal) => {
        const stream = this.#packer.stream(this.#call(object, 'chunks'), signal)
        packed = stream.packed
        return stream.chunks
      },
    }
    await this.#put(name, undefined, body, sending)
    if (!packed) throw new Error(`${name} was put without being read`)
    return packed()
  }

  /** If two paths have the same archive, it is sent once. */
  async #once(name: string, signal: AbortSignal, send: () => Promise<Uploaded>): Promise<Uploaded> {
    const other = this.#underway.get(name)
    // If that one fails, the reason may be its own: its batch was ended, say.
    if (other) await settledUnlessAborted(other, signal)
    const uploaded = await other?.catch(() => undefined)
    if (uploaded) return uploaded
    const sent = send()
    this.#underway.set(name, sent)
    try {
      return await sent
    } finally {
      if (this.#underway.get(name) === sent) this.#underway.delete(name)
    }
  }

  /** Some servers refuse to overwrite a file, but the file that is there is the same. */
  async #put(
    name: string,
    size: number | undefined,
    body: Parameters<Transport['put']>[0]['body'],
    { signal, onBytes }: Sending,
  ): Promise<void> {
    try {
      await this.#transport.put({ name, contentType: contentTypeOf(name), body }, signal, onBytes)
    } catch (error) {
      const isRefused = error instanceof UploadFailure && error.isOfOneFile && size !== undefined
      if (!isRefused || !(await this.#has(name, size, signal).catch(() => false))) throw error
    }
  }

  async #has(name: string, size: number, signal: AbortSignal): Promise<boolean> {
    return (await this.#transport.head(name, signal))?.size === size
  }

  /** Whether the answer to HEAD means something, at a server that doesn't tell the size: some answer the same to everything. */
  async #knowsHead(signal: AbortSignal): Promise<boolean> {
    this.#isHeadKnown ??= (await this.#transport.head(NO_ARCHIVE, signal)) === undefined
    return this.#isHeadKnown
  }

  #call(object: StoreObject, to: PackCall['to']): PackCall {
    const { path, narHash, narSize } = object
    return { path, narHash, narSize, compression: this.#compression, wantsListing: this.#wantsListing, to }
  }

  #name(stem: string): string {
    return `nar/${stem}.nar${this.#compression.extension}`
  }

  /**
   * After the hash of the NAR comes the way of compression: the name then determines every byte of the archive, so a
   * narinfo stays true when somebody else uploads the same path.
   */
  #tag(): string {
    const { name, level, by } = this.#compression
    if (by === 'nothing') return ''
    const args = typeof by === 'string' ? [] : by.args
    const text = [name, level ?? 'default', ...args, versionOf(this.#compression)].join(' ')
    return `-${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
  }

  #uploaded(name: string, { fileHash, fileSize, listing }: Packed): Uploaded {
    return { archive: { name, compression: this.#compression.name, fileHash, fileSize }, listing }
  }
}
