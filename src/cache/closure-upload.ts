import type { SecretKey } from '../nix/secret-key.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { StoreSession } from '../nix/store-session.ts'
import type { Transport } from '../transport/transport.ts'
import { BusyLimit } from '../util/busy-limit.ts'
import { settledUnlessAborted } from '../util/on-abort.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { UploadFailure } from '../util/verdict.ts'
import type { ArchiveUpload, Uploaded } from './archive-upload.ts'
import { unlessChanged } from './changed-meanwhile.ts'
import { contentTypeOf } from './content-type.ts'
import type { KnownPaths } from './known-paths.ts'
import { sendListing } from './listing.ts'
import { isOf, narinfoName, narinfoOf, parseNarInfo } from './narinfo.ts'

/** If this many files were refused and none was accepted, the destination is to blame. */
const REFUSALS = 4

/** Which paths failed, and why. */
export type Failures = ReadonlyMap<string, UploadFailure>

/** One call of `send`. */
interface Sending {
  signal: AbortSignal
  keys: readonly SecretKey[]
  progress: UploadProgress
  /** Paths under way, and those that failed: what their referrers have to wait for. */
  open: Map<string, Promise<void>>
}

interface Context {
  store: StoreSession
  transport: Transport
  archives: ArchiveUpload
  known: KnownPaths
  /** Signatures that others have sent since the cache was asked are looked for before each narinfo is sent, and stay. */
  keepsSignatures: boolean
  /** Called if the destination refuses a file beside an archive: nothing depends on such a file. */
  onWarning: (message: string) => void
}

/**
 * Sends paths to a binary cache: archives in any order, but a narinfo only after its own archive and after the narinfos of
 * all its references. So the cache is closed at every instant, for every reader and wherever this ends.
 */
export class ClosureUpload {
  readonly #context: Context
  readonly #places = new BusyLimit()
  /** Paths under way; batches that run side by side may have some in common. */
  readonly #underway = new Map<string, Promise<void>>()

  constructor(context: Context) {
    this.#context = context
  }

  /**
   * @param objects References before what refers to them; references that are not among them are there. The next one is
   * asked for when there is room for it.
   * @returns The paths that failed by their own fault or that of a reference. All others are there.
   * @throws {UploadFailure} if the destination is to blame.
   */
  async send(
    objects: AsyncIterable<StoreObject>,
    keys: readonly SecretKey[],
    signal: AbortSignal,
    progress: UploadProgress,
  ): Promise<Failures> {
    const ended = new AbortController()
    const either = AbortSignal.any([signal, ended.signal])
    const open = new Map<string, Promise<void>>()
    const sending: Sending = { signal: either, keys, progress, open }
    const failures = new Map<string, UploadFailure>()
    let isTaken = false
    let fatal: { error: unknown } | undefined
    const end = (error: unknown) => {
      fatal ??= { error }
      ended.abort(error)
    }
    const note = (object: StoreObject, error: unknown) => {
      const isOwn = error instanceof UploadFailure && (error.verdict.blame === 'job' || error.isOfOneFile)
      if (!isOwn) return end(error)
      failures.set(object.path, error)
      const refusals = [...failures.values()].filter(({ verdict }) => verdict.blame !== 'job')
      if (!isTaken && new Set(refusals).size >= REFUSALS) end(error)
    }
    try {
      for await (const object of objects) {
        const leave = await this.#places.take(either).catch(() => undefined)
        if (!leave) break
        const sent = this.#sendOnce(object, sending)
        open.set(object.path, sent)
        const onSent = () => {
          isTaken = true
          // A closure may have tens of thousands of paths.
          open.delete(object.path)
        }
        void sent.then(onSent, (error: unknown) => note(object, error)).finally(leave)
      }
    } catch (error) {
      end(error)
    }
    await Promise.allSettled(open.values())
    // Node keeps listeners of two combined signals until one of them is aborted.
    ended.abort()
    signal.throwIfAborted()
    if (fatal) throw fatal.error
    return failures
  }

  /** Sends a path, unless another batch is sending it and succeeds. */
  async #sendOnce(object: StoreObject, sending: Sending): Promise<void> {
    const { path } = object
    for (let other = this.#underway.get(path); other; other = this.#underway.get(path)) {
      await settledUnlessAborted(other, sending.signal)
    }
    if (this.#context.known.has(path) && !sending.signal.aborted) return
    const sent = this.#send(object, sending)
    this.#underway.set(path, sent)
    try {
      await sent
    } finally {
      this.#underway.delete(path)
    }
  }

  async #send(object: StoreObject, sending: Sending): Promise<void> {
    const { signal, keys } = sending
    try {
      const uploaded = await this.#sendArchive(object, sending)
      // A failed path throws its reason here, so no path that refers to it is sent.
      const references = object.references.filter((path) => path !== object.path)
      await Promise.all(references.map((path) => sending.open.get(path)))
      const { transport, onWarning } = this.#context
      if (uploaded.listing) await sendListing(transport, object.path, uploaded.listing, signal, onWarning)
      const signatures = [...object.signatures, ...(await this.#signaturesThere(object, signal))]
      await this.#putNarInfo(object, narinfoOf({ ...object, signatures }, uploaded.archive, keys), sending)
      this.#context.known.note(object.path)
    } catch (error) {
      throw withPath(error, object.path)
    }
  }

  async #sendArchive(object: StoreObject, { signal, progress }: Sending): Promise<Uploaded> {
    const estimate = new Estimate(object.narSize, progress)
    try {
      const uploaded = await this.#context.archives.send(object, signal, (count) => estimate.sent(count))
      estimate.end()
      return uploaded
    } catch (error) {
      estimate.end()
      throw await unlessChanged(error, object, this.#context.store, signal)
    }
  }

  /** The signatures that a narinfo of the same content has at the destination now. */
  async #signaturesThere(object: StoreObject, signal: AbortSignal): Promise<readonly string[]> {
    const { transport, keepsSignatures } = this.#context
    if (!keepsSignatures) return []
    const info = parseNarInfo((await transport.get(narinfoName(object.path), signal)) ?? '')
    return info && isOf(info, object) ? info.signatures : []
  }

  async #putNarInfo(object: StoreObject, text: string, { signal, progress }: Sending): Promise<void> {
    const name = narinfoName(object.path)
    const { transport } = this.#context
    const body = Buffer.from(text)
    try {
      await transport.put({ name, contentType: contentTypeOf(name), body }, signal, (count) => {
        progress.sentBytes += count
        progress.expectedBytes += count
      })
    } catch (error) {
      // Somebody else uploaded it meanwhile, and the server refuses to overwrite it.
      if (!(error instanceof UploadFailure) || !error.isOfOneFile) throw error
      const info = parseNarInfo((await transport.get(name, signal).catch(() => undefined)) ?? '')
      if (!info || !isOf(info, object)) throw error
    }
  }
}

/** The expected size of one archive: that of its NAR, until it is known better. */
class Estimate {
  readonly #progress: UploadProgress
  #left: number

  constructor(narSize: number, progress: UploadProgress) {
    this.#progress = progress
    this.#left = narSize
    progress.expectedBytes += narSize
  }

  sent(count: number): void {
    this.#progress.sentBytes += count
    // More than was expected can only be little.
    this.#left -= count
    if (this.#left < 0) {
      this.#progress.expectedBytes -= this.#left
      this.#left = 0
    }
  }

  end(): void {
    this.#progress.expectedBytes -= this.#left
    this.#left = 0
  }
}

/** So that the job with that path is found. */
function withPath(error: unknown, path: string): unknown {
  if (!(error instanceof UploadFailure) || error.verdict.path !== undefined) return error
  if (error.verdict.blame !== 'job' && !error.isOfOneFile) return error
  const message = `${error.verdict.message} (${path})`
  return new UploadFailure({ ...error.verdict, message, path }, error)
}
