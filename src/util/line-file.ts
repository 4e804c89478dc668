import { randomUUID } from 'node:crypto'
import { closeSync, createWriteStream, ftruncateSync, openSync, readSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { codeOf, UserError, wordsOf } from './user-error.ts'

/** How often to look for more lines. */
const LOOK_EVERY_MS = 100
const CHUNK_BYTES = 64 << 10
/** When the file has this many bytes, it is emptied after it has been read. A source tree of 100,000 files makes twice as many. */
const MAX_BYTES = 64 << 20

/**
 * A file without a name that a program writes lines to, read as it grows. `nix copy` writes some twenty lines of progress
 * for each file of a path (2.26.3, 2.34.8); through a pipe, each line wakes this process, and a copy of small paths takes
 * half as long again.
 */
export class LineFile {
  /** For the program to write to. execa takes a stream, and gives its file to the program. */
  readonly stream: Writable
  readonly #fd: number
  readonly #onLine: (line: string) => void
  readonly #looks: NodeJS.Timeout
  readonly #decoder = new StringDecoder()
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  readonly #maxBytes: number
  #readBytes = 0
  #rest = ''

  /**
   * @param onLine Called with each line, without its end.
   * @param maxBytes A file of this size is emptied. Lines that are written at that moment may be lost.
   * @throws {UserError} if no file can be made in the directory for temporary ones.
   */
  constructor(onLine: (line: string) => void, maxBytes = MAX_BYTES) {
    this.#onLine = onLine
    this.#maxBytes = maxBytes
    const path = join(tmpdir(), `nix-upload-${randomUUID()}`)
    this.#fd = open(path)
    this.stream = createWriteStream(path, { fd: this.#fd, autoClose: false })
    // So nothing is left behind, however this process ends.
    unlinkSync(path)
    this.#looks = setInterval(() => this.#read(), LOOK_EVERY_MS)
  }

  /** Reads what is left and closes the file. */
  end(): void {
    clearInterval(this.#looks)
    this.#read()
    if (this.#rest !== '') this.#onLine(this.#rest)
    closeSync(this.#fd)
  }

  #read(): void {
    for (let length = this.#fill(); length > 0; length = this.#fill()) {
      this.#readBytes += length
      const lines = `${this.#rest}${this.#decoder.write(this.#chunk.subarray(0, length))}`.split('\n')
      this.#rest = lines.pop() ?? ''
      for (const line of lines) this.#onLine(line)
    }
    if (this.#readBytes > this.#maxBytes) this.#empty()
  }

  /** The program appends, so it continues at the start of the file. */
  #empty(): void {
    ftruncateSync(this.#fd)
    this.#readBytes = 0
  }

  /** If the disk fails, the lines are lost, but the program's exit code is still known. */
  #fill(): number {
    try {
      return readSync(this.#fd, this.#chunk, 0, CHUNK_BYTES, this.#readBytes)
    } catch (error) {
      if (codeOf(error) === undefined) throw error
      return 0
    }
  }
}

function open(path: string): number {
  try {
    return openSync(path, 'ax+', 0o600)
  } catch (error) {
    const directory = dirname(path)
    throw new UserError(
      `can't make a temporary file in ${directory}; check that directory, or set TMPDIR to another: ${wordsOf(error)}`,
    )
  }
}
