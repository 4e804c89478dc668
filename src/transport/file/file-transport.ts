import { type FileHandle, open, unlink } from 'node:fs/promises'
import { fileOf } from '../../config/store-url.ts'
import { Thread, threadFile } from '../../util/thread.ts'
import { codeOf } from '../../util/user-error.ts'
import { ByteCounter } from '../byte-counter.ts'
import { chunksOf, isWhole } from '../outgoing.ts'
import type { OnBytes, StreamBody, Transport, Upload } from '../transport.ts'
import type { TransportOptions } from '../transport-options.ts'
import { fileFailure } from './file-failure.ts'

/** What the thread is asked to do; all paths are absolute. */
export type DiskCall =
  /** Reads a small file. */
  | { kind: 'get'; path: string; maxBytes: number }
  /** Tells the size of a file. */
  | { kind: 'head'; path: string }
  /** Writes bytes to a file, durably. */
  | { kind: 'put'; path: string; bytes: Uint8Array }
  /** Returns where to write a large file for this path. */
  | { kind: 'prepare'; path: string }
  /** Renames a written and synced file to its final name, durably. */
  | { kind: 'adopt'; from: string; path: string }

export type DiskReply = string | number | undefined

/** No fetched file is larger: narinfos and the like. */
const MOST_BYTES = 1024 * 1024

/** Files in a local directory, or one on a mounted filesystem. Uploaded files are synced. */
export class FileTransport implements Transport {
  readonly #root: string
  readonly #thread = new Thread<DiskCall, DiskReply>(threadFile('./disk-thread', import.meta.url))

  constructor({ to }: TransportOptions) {
    this.#root = fileOf(to)
  }

  async get(name: string, signal: AbortSignal): Promise<string | undefined> {
    const text = await this.#call({ kind: 'get', path: this.#path(name), maxBytes: MOST_BYTES }, signal)
    return typeof text === 'string' ? text : undefined
  }

  async head(name: string, signal: AbortSignal): Promise<{ size: number | undefined } | undefined> {
    const size = await this.#call({ kind: 'head', path: this.#path(name) }, signal)
    return typeof size === 'number' ? { size } : undefined
  }

  async put({ name, body }: Upload, signal: AbortSignal, onBytes: OnBytes): Promise<void> {
    const counter = new ByteCounter(onBytes)
    const path = this.#path(name)
    try {
      if (isWhole(body)) {
        counter.add(body.length)
        await this.#call({ kind: 'put', path, bytes: body }, signal)
      } else await this.#putStream(path, body, signal, counter)
    } catch (error) {
      counter.takeBack()
      throw error
    }
  }

  close(): void {
    this.#thread.close()
  }

  async #putStream(path: string, body: StreamBody, signal: AbortSignal, counter: ByteCounter): Promise<void> {
    const from = await this.#call({ kind: 'prepare', path }, signal)
    if (typeof from !== 'string') throw new Error('the thread did not say where to write')
    try {
      const file = await this.#onDisk(open(from, 'wx', 0o644))
      try {
        for await (const chunk of chunksOf(body, signal)) {
          signal.throwIfAborted()
          counter.add(chunk.length)
          await this.#onDisk(writeAll(file, chunk))
        }
        await this.#onDisk(file.sync())
      } finally {
        await this.#onDisk(file.close())
      }
      await this.#call({ kind: 'adopt', from, path }, signal)
    } catch (error) {
      await unlink(from).catch(() => undefined)
      throw error
    }
  }

  async #call(call: DiskCall, signal: AbortSignal): Promise<DiskReply> {
    return await this.#onDisk(this.#thread.call(call, { signal }))
  }

  /** A stream may throw system errors, too: these don't concern the destination. */
  async #onDisk<R>(doing: Promise<R>): Promise<R> {
    try {
      return await doing
    } catch (error) {
      throw codeOf(error) === undefined ? error : fileFailure(error, this.#root)
    }
  }

  #path(name: string): string {
    return `${this.#root}/${name}`
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten
}
