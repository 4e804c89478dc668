import { parentPort } from 'node:worker_threads'
import { type FromThread, packError, type ToThread } from './thread-messages.ts'

/** At most this many bytes of a stream are sent and not yet read. */
const WINDOW_BYTES = 2 * 1024 * 1024

/** What a handler can use to answer a call. */
export interface CallContext {
  /** Aborted when the answer is not wanted any more. */
  signal: AbortSignal
  /**
   * Sends a chunk of a stream; its whole memory goes along.
   * @returns A promise if the next chunk has to wait.
   */
  send: (bytes: Uint8Array<ArrayBuffer>) => Promise<void> | undefined
}

/** How memory goes from one thread to the other. */
interface ThreadMemory<Reply> {
  onReturn?: (buffer: ArrayBuffer) => void
  memoryOf?: (reply: Reply) => ArrayBuffer[]
}

/**
 * Answers the calls of a `Thread`, inside the thread. All answers of one turn of the event loop go back in one message.
 * @param handle Returns the answer, or a promise of it. Its errors are thrown by the call.
 * @param memory `onReturn` gets the memory of chunks that were read. `memoryOf` names the memory of an answer that is moved instead
 * of copied.
 */
export function serveCalls<Call, Reply>(
  handle: (call: Call, context: CallContext) => Reply | Promise<Reply>,
  { onReturn, memoryOf }: ThreadMemory<Reply> = {},
): void {
  const running = new Map<number, RunningCall>()
  let outbox: FromThread<Reply>[] = []
  const flush = () => {
    const messages = outbox
    outbox = []
    const memory = messages.flatMap((message) =>
      message.kind === 'reply' ? (memoryOf?.(message.reply) ?? []) : [],
    )
    parentPort?.postMessage(messages, memory)
  }
  const post = (message: FromThread<Reply>) => {
    if (outbox.length === 0) setImmediate(flush)
    outbox.push(message)
  }
  const start = (id: number, call: Call) => {
    const context = new RunningCall((bytes) => {
      const message: FromThread<Reply> = { kind: 'chunk', id, bytes }
      parentPort?.postMessage([message], [bytes.buffer])
    })
    const fail = (error: unknown) => {
      running.delete(id)
      post({ kind: 'error', id, error: packError(error) })
    }
    const reply = (answer: Reply) => {
      running.delete(id)
      post({ kind: 'reply', id, reply: answer })
    }
    running.set(id, context)
    try {
      const answer = handle(call, context)
      if (answer instanceof Promise) answer.then(reply, fail)
      else reply(answer)
    } catch (error) {
      fail(error)
    }
  }
  parentPort?.on('message', (messages: readonly ToThread<Call>[]) => {
    for (const message of messages) {
      if (message.kind === 'call') start(message.id, message.call)
      else if (message.kind === 'taken') {
        onReturn?.(message.buffer)
        running.get(message.id)?.taken(message.bytes)
      } else running.get(message.id)?.cancel()
    }
  })
}

class RunningCall implements CallContext {
  readonly #ended = new AbortController()
  readonly #post: (bytes: Uint8Array<ArrayBuffer>) => void
  #ahead = 0
  #goOn: () => void = () => undefined

  constructor(post: (bytes: Uint8Array<ArrayBuffer>) => void) {
    this.#post = post
  }

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  readonly send = (bytes: Uint8Array<ArrayBuffer>): Promise<void> | undefined => {
    this.signal.throwIfAborted()
    this.#ahead += bytes.byteLength
    this.#post(bytes)
    if (this.#ahead < WINDOW_BYTES) return undefined
    return new Promise<void>((resolve) => {
      this.#goOn = resolve
    }).then(() => this.signal.throwIfAborted())
  }

  taken(bytes: number): void {
    this.#ahead -= bytes
    if (this.#ahead < WINDOW_BYTES) this.#goOn()
  }

  cancel(): void {
    this.#ended.abort()
    this.#goOn()
  }
}
