import { type Progress, SendFailure } from '../route.ts'
import type { Presence } from './presence.ts'
import { bytesOf, type CacheFile, type StagedPath } from './staged-path.ts'
import type { Transport } from './transport.ts'

/** So many archives whose narinfo could not be sent are remembered, so that they aren't sent again. */
const ARCHIVES_KEPT = 10_000

/**
 * Sends staged paths to a binary cache: all archives at will, but a narinfo only after its own archive and after the
 * narinfos of all that it refers to. So the cache is whole at every instant, whoever reads it and wherever this ends.
 */
export class ClosureSender {
  readonly #transport: Transport
  readonly #presence: Presence
  /** Paths that are being sent; batches that run side by side may have some in common. */
  readonly #underway = new Map<string, Promise<void>>()
  /** Archives that are there, although nothing may tell of them yet. */
  readonly #archives = new Set<string>()

  constructor(transport: Transport, presence: Presence) {
    this.#transport = transport
    this.#presence = presence
  }

  /**
   * @param paths References before what refers to them; references that are not among them are there.
   * @throws {SendFailure} where not all of them are there afterwards. What doesn't depend on a file that was refused is
   * there all the same, unless the destination is to blame.
   */
  async send(paths: readonly StagedPath[], signal: AbortSignal, progress: Progress): Promise<void> {
    const ended = new AbortController()
    const sending: Sending = {
      signal: AbortSignal.any([signal, ended.signal]),
      progress,
      archives: new Map(),
      narinfos: new Map(),
    }
    let hasSent = false
    let first: unknown
    const note = (error: unknown) => {
      first ??= error
      const isWorthGoingOn = hasSent && error instanceof SendFailure && isOfOnePath(error)
      if (!isWorthGoingOn) ended.abort()
    }
    progress.expectedBytes += paths.reduce((sum, path) => sum + bytesOf(path), 0)
    const before = progress.sentBytes
    const all = paths.map((path) =>
      this.#sendOnce(path, sending).then(() => {
        hasSent = true
      }, note),
    )
    await Promise.all(all)
    if (first === undefined) return
    // What is not under way any more isn't expected any more.
    progress.expectedBytes = Math.max(
      0,
      progress.expectedBytes - paths.reduce((sum, path) => sum + bytesOf(path), 0),
    )
    progress.expectedBytes += progress.sentBytes - before
    throw first
  }

  /** Sends a path, unless another batch is at it and succeeds. */
  #sendOnce(path: StagedPath, sending: Sending): Promise<void> {
    const sent = this.#sendOnceMore(path, sending)
    sending.narinfos.set(path.object.path, sent)
    return sent
  }

  async #sendOnceMore(path: StagedPath, sending: Sending): Promise<void> {
    const { object } = path
    for (let other = this.#underway.get(object.path); other; other = this.#underway.get(object.path)) {
      await other.catch(() => undefined)
    }
    if (this.#presence.has(object.path)) {
      sending.progress.expectedBytes -= bytesOf(path)
      return
    }
    const sent = this.#sendNow(path, sending)
    this.#underway.set(object.path, sent)
    try {
      await sent
    } finally {
      this.#underway.delete(object.path)
    }
  }

  async #sendNow({ object, narinfo, parts }: StagedPath, sending: Sending): Promise<void> {
    try {
      await Promise.all(parts.map((part) => this.#putArchive(part, sending)))
    } catch (error) {
      throw withPath(error, object.path)
    }
    const references = object.references.filter((path) => path !== object.path)
    // One that failed has told already why; this only doesn't go there.
    await Promise.all(references.map((path) => sending.narinfos.get(path)))
    try {
      await this.#put(narinfo.name, { text: narinfo.text }, sending)
    } catch (error) {
      throw withPath(error, object.path)
    }
    for (const { name } of parts) this.#archives.delete(name)
    this.#presence.note(object.path)
  }

  /** Two paths with the same content share one. */
  #putArchive(file: CacheFile, sending: Sending): Promise<void> {
    const before = sending.archives.get(file.name)
    if (before) return before
    const put = this.#archives.has(file.name)
      ? Promise.resolve()
      : this.#put(file.name, { file: file.file, size: file.size }, sending).then(() =>
          this.#noteArchive(file.name),
        )
    sending.archives.set(file.name, put)
    return put
  }

  #noteArchive(name: string): void {
    this.#archives.add(name)
    const [oldest] = this.#archives
    if (this.#archives.size > ARCHIVES_KEPT && oldest !== undefined) this.#archives.delete(oldest)
  }

  #put(name: string, body: Parameters<Transport['put']>[1], { signal, progress }: Sending): Promise<void> {
    return this.#transport.put(name, body, signal, (count) => {
      progress.sentBytes += count
    })
  }
}

/** One call of `send`. */
interface Sending {
  signal: AbortSignal
  progress: Progress
  /** By their names in the cache. */
  archives: Map<string, Promise<void>>
  /** By store path. */
  narinfos: Map<string, Promise<void>>
}

function isOfOnePath({ verdict, isOfOneFile }: SendFailure): boolean {
  return isOfOneFile || verdict.blame === 'job'
}

/** So that the job with that path is found. */
function withPath(error: unknown, path: string): unknown {
  if (!(error instanceof SendFailure) || !isOfOnePath(error) || error.verdict.path !== undefined) return error
  const message = `${error.verdict.message} (${path})`
  return new SendFailure({ ...error.verdict, message, path }, error.isOfOneFile)
}
