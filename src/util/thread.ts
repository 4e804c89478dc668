import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { onAbort } from './on-abort.ts'
import { type FromThread, type ToThread, unpackError } from './thread-messages.ts'

/** The file of a thread, beside the file that starts it: TypeScript in a checkout, JavaScript in `dist/`. */
export function threadFile(name: string, base: string): URL {
  return new URL(`${name}${extname(new URL(base).pathname)}`, base)
}

/** In a thread, objects don't live long, so more room for young objects would only take more memory. */
const YOUNG_MIB = 4

interface Pending<Reply> {
  resolve: (reply: Reply) => void
  reject: (error: Error) => void
  onChunk: ((bytes: Uint8Array<ArrayBuffer>) => void) | undefined
  load: number
}

/** How a call is made. */
export interface CallOptions {
  signal?: AbortSignal
  /** How much work it is, in the caller's unit; 1 by default. */
  load?: number
  /** Called with each chunk of a stream. After `taken`, its memory is used again. If `taken` isn't called, the stream stops after
   * some megabytes.
   */
  onChunk?: (bytes: Uint8Array<ArrayBuffer>, taken: () => void) => void
}

/**
 * A thread that answers calls (`serveCalls`). All calls of one turn of the event loop go there in one message, so many small
 * calls are cheap. It starts with the first call, and doesn't keep the process running while no call is open.
 */
export class Thread<Call, Reply> {
  readonly #file: URL
  readonly #pending = new Map<number, Pending<Reply>>()
  #worker: Worker | undefined
  #next = 0
  #load = 0
  #outbox: ToThread<Call>[] = []

  constructor(file: URL) {
    this.#file = file
  }

  /** How much work is not done yet, in calls without an answer. */
  get load(): number {
    return this.#load
  }

  /** @throws The error of the handler, the signal's reason, or an error that the thread ended. */
  call(call: Call, { signal, load = 1, onChunk }: CallOptions = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      this.start().ref()
      const id = this.#next++
      const cancel = () => {
        this.#post({ kind: 'cancel', id })
        this.#forget(id)
        reject(signal?.reason)
      }
      const stop = signal && onAbort(signal, cancel)
      const settle =
        <T>(act: (value: T) => void) =>
        (value: T) => {
          stop?.()
          act(value)
        }
      const take = (bytes: Uint8Array<ArrayBuffer>) => {
        const size = bytes.byteLength
        onChunk?.(bytes, () => this.#post({ kind: 'taken', id, bytes: size, buffer: bytes.buffer }))
      }
      this.#pending.set(id, { resolve: settle(resolve), reject: settle(reject), onChunk: take, load })
      this.#load += load
      this.#post({ kind: 'call', id, call })
    })
  }

  /** Ends the thread; the next call starts it again. */
  close(): void {
    void this.#worker?.terminate()
    this.#lose(new Error('the thread was ended'))
  }

  #post(message: ToThread<Call>): void {
    if (this.#outbox.length === 0) setImmediate(() => this.#flush())
    this.#outbox.push(message)
  }

  #flush(): void {
    const messages = this.#outbox
    this.#outbox = []
    const buffers = messages.flatMap((message) => (message.kind === 'taken' ? [message.buffer] : []))
    if (messages.length > 0) this.#worker?.postMessage(messages, buffers)
  }

  /** Starts it, if it does not run yet. */
  start(): Worker {
    if (this.#worker) return this.#worker
    const worker = new Worker(this.#file, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB } })
    worker.on('message', (messages: readonly FromThread<Reply>[]) => {
      for (const message of messages) this.#take(message)
    })
    const lose = (error: Error) => {
      if (this.#worker === worker) this.#lose(error)
    }
    worker.on('error', lose)
    worker.on('exit', () => lose(new Error('the thread ended')))
    worker.unref()
    this.#worker = worker
    return worker
  }

  #take(message: FromThread<Reply>): void {
    const pending = this.#pending.get(message.id)
    if (message.kind === 'chunk') {
      pending?.onChunk?.(message.bytes)
      return
    }
    this.#forget(message.id)
    if (message.kind === 'reply') pending?.resolve(message.reply)
    else pending?.reject(unpackError(message.error))
  }

  #forget(id: number): void {
    this.#load -= this.#pending.get(id)?.load ?? 0
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#worker?.unref()
  }

  #lose(error: Error): void {
    this.#worker = undefined
    this.#outbox = []
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    this.#load = 0
    for (const { reject } of pending) reject(error)
  }
}
