import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs'
import { encode } from '../../nix/wire.ts'
import type { BufferPool } from '../../util/buffer-pool.ts'
import { codeOf } from '../../util/user-error.ts'

/** Why a store path can't be packed. */
export class NotPackable extends Error {
  override name = 'NotPackable'
}

/** What is in an archive, as Nix's `.ls` files tell it. */
export type Listing =
  | { type: 'directory'; entries: Map<string, Listing> }
  | { type: 'regular'; size: number; narOffset: number; isExecutable: boolean }
  | { type: 'symlink'; target: string }

const OWNER_MAY_EXECUTE = 0o100
/** A file that is replaced by a FIFO must not hold us up. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

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
/** What macOS stores get behind names that differ in capitals only (nix: src/libutil/archive.cc). */
const CASE_HACK = /~nix~case~hack~\d+$/

type Entry = Dirent<Buffer>

/** A directory that is being packed. */
interface Level {
  /** In bytes, one a character: names need not be UTF-8. */
  path: string
  entries: IterableIterator<{ name: string; entry: Entry }>
  listing: Map<string, Listing> | undefined
}

/**
 * Packs what lies at a path as an archive (nix: src/libutil/archive.cc), in blocks of one size but for the last one. It reads
 * each file once, and blocks while it does.
 * @param pool The blocks come from there, and are to be given back.
 * @param wantsListing Whether `listing` is to be made.
 * @throws {NotPackable} where something in it belongs into no archive; a system error where it can't be read.
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
      yield* this.#node(root, lstatSync(this.#path), levels, setRoot)
      for (let level = levels.at(-1); level; level = levels.at(-1)) {
        const next = level.entries.next()
        if (next.done) {
          levels.pop()
          yield* this.#put(levels.length > 0 ? END_ENTRY : END)
          continue
        }
        const { name, entry } = next.value
        const { listing } = level
        const path = `${level.path}/${entry.name.toString('latin1')}`
        const bytes = Buffer.from(name, 'latin1')
        yield* this.#put(ENTRY)
        yield* this.#put(encode([bytes]))
        yield* this.#put(NODE)
        yield* this.#node(path, entry, levels, (one) => {
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
  *#node(
    path: string,
    kind: Pick<Entry, 'isFile' | 'isDirectory' | 'isSymbolicLink'>,
    levels: Level[],
    list: (listing: Listing) => void,
  ) {
    const bytes = Buffer.from(path, 'latin1')
    if (kind.isDirectory()) {
      const listing = this.#wantsListing ? new Map<string, Listing>() : undefined
      if (listing) list({ type: 'directory', entries: listing })
      levels.push({
        path,
        entries: sorted(readdirSync(bytes, { withFileTypes: true, encoding: 'buffer' })),
        listing,
      })
      return yield* this.#put(DIRECTORY)
    }
    if (kind.isSymbolicLink()) {
      const target = readlinkSync(bytes, 'buffer')
      if (this.#wantsListing) list({ type: 'symlink', target: target.toString() })
      yield* this.#put(SYMLINK)
      yield* this.#put(encode([target]))
    } else if (kind.isFile()) yield* this.#file(bytes, list)
    else throw new NotPackable(`${bytes} is neither a file nor a directory nor a symlink`)
    yield* this.#put(levels.length > 0 ? END_ENTRY : END)
  }

  *#file(path: Buffer, list: (listing: Listing) => void) {
    const fd = openFile(path)
    try {
      const stats = fstatSync(fd)
      if (!stats.isFile()) throw new NotPackable(`${path} is not a file any more`)
      const { size, mode } = stats
      const isExecutable = (mode & OWNER_MAY_EXECUTE) !== 0
      yield* this.#put(REGULAR)
      if (isExecutable) yield* this.#put(EXECUTABLE)
      yield* this.#put(CONTENTS)
      yield* this.#put(encode([size]))
      if (this.#wantsListing) {
        list({ type: 'regular', size, narOffset: this.#total, isExecutable })
      }
      for (let at = 0; at < size; ) {
        const room = Math.min(size - at, this.#block.length - this.#filled)
        const count = readSync(fd, this.#block, this.#filled, room, at)
        if (count === 0) throw new NotPackable(`${path} was cut short while it was read`)
        at += count
        yield* this.#advance(count)
      }
      yield* this.#put(PADDING.subarray(0, (WORD - (size % WORD)) % WORD))
    } finally {
      closeSync(fd)
    }
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

const PADDING = new Uint8Array(WORD)

function openFile(path: Buffer): number {
  try {
    return openSync(path, FLAGS)
  } catch (error) {
    if (codeOf(error) === 'ELOOP') throw new NotPackable(`${path} is not a file any more`)
    throw error
  }
}

/** By the bytes of their names, as Nix does. */
function sorted(entries: Entry[]): IterableIterator<{ name: string; entry: Entry }> {
  const named = entries.map((entry) => {
    const name = entry.name.toString('latin1')
    return { name: process.platform === 'darwin' ? name.replace(CASE_HACK, '') : name, entry }
  })
  return named.sort((one, other) => (one.name < other.name ? -1 : 1)).values()
}
