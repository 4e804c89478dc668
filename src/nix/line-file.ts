import { randomUUID } from 'node:crypto'
import { closeSync, createWriteStream, openSync, readSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import { codeOf } from '../config/user-error.ts'

/** How often it is looked whether there are more lines. */
const LOOK_EVERY_MS = 100
const CHUNK_BYTES = 64 << 10

/**
 * A file without a name that a program writes lines to, read as it grows. `nix copy` writes 26 lines for each path, one
 * after the other; through a pipe each of them wakes us, and that takes it half as long again.
 */
export class LineFile {
  /** For the program to write to: execa takes a stream, of which the program gets the file itself. */
  readonly stream: Writable
  readonly #fd: number
  readonly #onLine: (line: string) => void
  readonly #looks: NodeJS.Timeout
  readonly #decoder = new StringDecoder()
  readonly #chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  #readBytes = 0
  #rest = ''
  #isOpen = true

  /**
   * @param onLine Called with each line, without its end.
   * @throws A system error where no file can be made in the directory for temporary ones.
   */
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
    const path = join(tmpdir(), `nix-upload-${randomUUID()}`)
    this.#fd = openSync(path, 'ax+', 0o600)
    this.stream = createWriteStream(path, { fd: this.#fd, autoClose: false })
    // Whatever ends us leaves nothing behind.
    unlinkSync(path)
    this.#looks = setInterval(() => this.#read(), LOOK_EVERY_MS)
  }

  /** Reads what is left and closes the file. */
  end(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
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
  }

  /** What a disk doesn't give back is lost, as if it had not been said; how the program ended is known all the same. */
  #fill(): number {
    try {
      return readSync(this.#fd, this.#chunk, 0, CHUNK_BYTES, this.#readBytes)
    } catch (error) {
      if (codeOf(error) === undefined) throw error
      return 0
    }
  }
}
