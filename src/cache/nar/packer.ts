import { type CallOptions, Thread, threadFile } from '../../util/thread.ts'
import { wordsOf } from '../../util/user-error.ts'
import { UploadFailure } from '../../util/verdict.ts'
import { COMPRESSOR_FAILED, NOT_AS_BUILT, type PackCall, type Packed } from './pack-call.ts'

/** This many bytes are read and compressed in some milliseconds. A thread with less work gets more before another thread is started. */
const BUSY_BYTES = 1024 * 1024

/** How an archive goes out as it is made. */
export interface PackedStream {
  /** The memory of a chunk is used again once the next one is asked for. */
  chunks: AsyncIterable<Uint8Array>
  /** The result; known only when all chunks were read. */
  packed: () => Packed
}

/**
 * Packs store paths in threads, several side by side. Each path is hashed as it is read; if it differs from what was
 * registered, it fails before its archive is complete.
 */
export class Packer {
  readonly #threads: readonly Thread<PackCall, Packed>[]

  /** @param jobs How many threads. They are started when they are needed. */
  constructor(jobs: number) {
    const file = threadFile('./pack-thread', import.meta.url)
    this.#threads = Array.from({ length: Math.max(1, jobs) }, () => new Thread<PackCall, Packed>(file))
  }

  /** How many paths are packed side by side. */
  get jobs(): number {
    return this.#threads.length
  }

  /**
   * Packs a path.
   * @param call Its `to` is `bytes`, or `nowhere` to learn only the hash and size of the archive.
   * @throws {UploadFailure} if the path is not as it was registered, or can't be read.
   */
  async pack(call: PackCall, signal: AbortSignal): Promise<Packed> {
    return await this.#call(call, { signal }).catch((error: unknown) => {
      throw asFailure(error, call.path, signal)
    })
  }

  /** Packs a path and hands over the archive as it is made. It begins at once. */
  stream(call: Omit<PackCall, 'to'>, signal: AbortSignal): PackedStream {
    let packed: Packed | undefined
    const chunks = this.#chunks({ ...call, to: 'chunks' }, signal, (result) => {
      packed = result
    })
    return {
      chunks,
      packed: () => {
        if (!packed) throw new Error(`${call.path} is not packed yet`)
        return packed
      },
    }
  }

  /** Starts a thread, so that the first path need not wait for that. */
  getReady(): void {
    this.#threads[0]?.start()
  }

  /** Ends the threads. */
  close(): void {
    for (const thread of this.#threads) thread.close()
  }

  async *#chunks(
    call: PackCall,
    signal: AbortSignal,
    onPacked: (packed: Packed) => void,
  ): AsyncGenerator<Uint8Array> {
    const arrived: { bytes: Uint8Array; taken: () => void }[] = []
    let wake = () => {}
    let isOver = false
    let failure: { error: unknown } | undefined
    const ended = new AbortController()
    const onChunk = (bytes: Uint8Array, taken: () => void) => {
      arrived.push({ bytes, taken })
      wake()
    }
    this.#call(call, { signal: AbortSignal.any([signal, ended.signal]), onChunk })
      .then(onPacked, (error: unknown) => {
        failure = { error: asFailure(error, call.path, signal) }
      })
      .finally(() => {
        isOver = true
        wake()
      })
    try {
      for (;;) {
        const next = arrived.shift()
        if (next) {
          yield next.bytes
          next.taken()
        } else if (failure) throw failure.error
        else if (isOver) return
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      ended.abort()
    }
  }

  /** Gives it to the first thread that isn't busy, or else to the one with the least work: each thread takes 15 MB. */
  async #call(call: PackCall, options: CallOptions): Promise<Packed> {
    const least = () => this.#threads.reduce((best, thread) => (thread.load < best.load ? thread : best))
    const thread = this.#threads.find(({ load }) => load <= BUSY_BYTES) ?? least()
    return await thread.call(call, { ...options, load: call.narSize })
  }
}

/** Of errors that say that something is not there, or is not what can be packed. */
const GONE = new Set(['ENOENT', 'ENOTDIR'])
/** Errors of this machine rather than of one path. */
const OF_THE_MACHINE = new Set([
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ERR_WORKER_OUT_OF_MEMORY',
  'ERR_WORKER_INIT_FAILED',
])

/** The meaning of a failure to pack a path. */
function asFailure(error: unknown, path: string, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason
  if (!(error instanceof Error)) return error
  const said = wordsOf(error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const own = (means: string, permanent: boolean) =>
    new UploadFailure({ blame: 'job', permanent, message: `${means}; ${said}`, said, path })
  if (error.name === NOT_AS_BUILT || error.name === 'NotPackable' || GONE.has(code)) {
    return own(
      `the content of ${path} in the local store is not what was built, so it is not uploaded: ` +
        `\`nix-store --repair-path ${path}\` may mend it, or delete it and build it again; then requeue the job`,
      true,
    )
  }
  if (error.name === COMPRESSOR_FAILED) {
    const message = `what compresses the archives failed, or is not there: ${said}`
    return new UploadFailure({ blame: 'destination', permanent: false, message, said })
  }
  // A thread that can't be started has codes of its own.
  if (OF_THE_MACHINE.has(code) || /\bEMFILE\b|too many open files/.test(said)) {
    const message = `this machine has no room or no file handles left to read ${path}; ${said}`
    return new UploadFailure({ blame: 'destination', permanent: false, message, said })
  }
  if (code !== '') return own(`${path} can't be read from the local store`, false)
  return error
}
