import { closeSync, fstatSync, readlinkSync, readSync, type Stats } from 'node:fs'
import { encode } from '../../nix/wire.ts'
import type { BufferPool } from '../../util/buffer-pool.ts'
import { type Name, NotPackable, namesIn, notPackable, openUnlessLink } from './store-files.ts'

/** What is in an archive, as Nix's `.ls` files tell it. */
export type Listing =
  | { type: 'directory'; entries: Map<string, Listing> }
  | { type: 'regular'; size: number; narOffset: number; isExecutable: boolean }
  | { type: 'symlink'; target: string }

const OWNER_MAY_EXECUTE = 0o100
const MAGIC = encode(['nix-archive-1'])
const REGULAR = encode(['(', 'type', 'regular'])
const EXECUTABLE = encode(['executable', ''])
const CONTENTS = encode(['contents'])
const DIRECTORY = encode(['(', 'type', 'directory'])
const SYMLINK = encode(['(', 'type', 'symlink', 'target'])
const ENTRY = encode(['entry', '(', 'name'])
const NODE = encode(['node'])
const END = encode([')'])
const END_ENTRY = encode([')', ')'])
const WORD = 8
const PADDING = new Uint8Array(WORD)

/** A directory that is being packed. */
interface Level {
  /** In bytes, one a character: names need not be UTF-8. */
  path: string
  names: IterableIterator<Name>
  listing: Map<string, Listing> | undefined
}

/**
 * Packs what lies at a path as an archive (nix: src/libutil/archive.cc), in blocks of one size but for the last one. It reads
 * each file once, and blocks while it does.
 * @param pool The blocks come from there, and are to be given back.
 * @param wantsListing Whether `listing` is to be made.
 * @throws {NotPackable} if it contains something that no archive can hold; a system error if it can't be read.
 */
export class NarBlocks {
  listing: Listing | undefined
  readonly #path: string
  readonly #pool: BufferPool
  readonly #wantsListing: boolean
  #block: Buffer<ArrayBuffer>
  #filled = 0
  #total = 0

  constructor(path: string, pool: BufferPool, wantsListing = false) {
    this.#path = path
    this.#pool = pool
    this.#wantsListing = wantsListing
    this.#block = pool.take()
  }

  /** The blocks; the memory behind each is the whole `buffer`. */
  *blocks(): Generator<{ bytes: Buffer<ArrayBuffer>; buffer: Buffer<ArrayBuffer> }> {
    try {
      yield* this.#put(MAGIC)
      const root = Buffer.from(this.#path).toString('latin1')
      const levels: Level[] = []
      const setRoot = (listing: Listing) => {
        this.listing = listing
      }
      yield* this.#node(root, levels, setRoot)
      for (let level = levels.at(-1); level; level = levels.at(-1)) {
        const next = level.names.next()
        if (next.done) {
          levels.pop()
          yield* this.#put(levels.length > 0 ? END_ENTRY : END)
          continue
        }
        const { onDisk, inArchive } = next.value
        const { listing } = level
        const path = `${level.path}/${onDisk}`
        const bytes = Buffer.from(inArchive, 'latin1')
        yield* this.#put(ENTRY)
        yield* this.#put(encode([bytes]))
        yield* this.#put(NODE)
        yield* this.#node(path, levels, (one) => {
          listing?.set(bytes.toString(), one)
        })
      }
      if (this.#filled > 0) {
        yield { bytes: this.#block.subarray(0, this.#filled), buffer: this.#block }
      } else this.#pool.giveBack(this.#block)
    } catch (error) {
      this.#pool.giveBack(this.#block)
      throw error
    }
  }

  /** Packs a file or a symlink; a directory is put on the levels, and packed by and by. */
  *#node(path: string, levels: Level[], list: (listing: Listing) => void) {
    const bytes = Buffer.from(path, 'latin1')
    const fd = openUnlessLink(bytes)
    if (fd === undefined) {
      const target = readlinkSync(bytes, 'buffer')
      if (this.#wantsListing) list({ type: 'symlink', target: target.toString() })
      yield* this.#put(SYMLINK)
      yield* this.#put(encode([target]))
      return yield* this.#put(levels.length > 0 ? END_ENTRY : END)
    }
    try {
      const stats = fstatSync(fd)
      if (stats.isDirectory()) {
        const listing = this.#wantsListing ? new Map<string, Listing>() : undefined
        if (listing) list({ type: 'directory', entries: listing })
        levels.push({ path, names: namesIn(bytes), listing })
        return yield* this.#put(DIRECTORY)
      }
      if (!stats.isFile()) throw notPackable(bytes)
      yield* this.#file(bytes, fd, stats, list)
      yield* this.#put(levels.length > 0 ? END_ENTRY : END)
    } finally {
      closeSync(fd)
    }
  }

  *#file(path: Buffer, fd: number, { size, mode }: Stats, list: (listing: Listing) => void) {
    const isExecutable = (mode & OWNER_MAY_EXECUTE) !== 0
    yield* this.#put(REGULAR)
    if (isExecutable) yield* this.#put(EXECUTABLE)
    yield* this.#put(CONTENTS)
    yield* this.#put(encode([size]))
    if (this.#wantsListing) list({ type: 'regular', size, narOffset: this.#total, isExecutable })
    for (let at = 0; at < size; ) {
      const room = Math.min(size - at, this.#block.length - this.#filled)
      const count = readSync(fd, this.#block, this.#filled, room, at)
      if (count === 0) throw new NotPackable(`${path} was cut short while it was read`)
      at += count
      yield* this.#advance(count)
    }
    yield* this.#put(PADDING.subarray(0, (WORD - (size % WORD)) % WORD))
  }

  *#put(bytes: Uint8Array) {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, this.#block.length - this.#filled)
      this.#block.set(bytes.subarray(at, at + count), this.#filled)
      at += count
      yield* this.#advance(count)
    }
  }

  *#advance(count: number) {
    this.#filled += count
    this.#total += count
    if (this.#filled < this.#block.length) return
    const buffer = this.#block
    this.#block = this.#pool.take()
    this.#filled = 0
    yield { bytes: buffer, buffer }
  }
}
