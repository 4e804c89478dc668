import { compressionOf } from '../config/compression.ts'
import type { Destination } from '../config/config.ts'
import { flagOf } from '../config/store-flags.ts'
import { parametersOf } from '../config/store-parameters.ts'
import { ASKED_AT_ONCE, type Closure, closureOf } from '../nix/closure.ts'
import type { StoreSession } from '../nix/store-session.ts'
import type { Transport } from '../transport/transport.ts'
import { partsOf } from '../util/parts.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { UploadFailure } from '../util/verdict.ts'
import { ArchiveUpload } from './archive-upload.ts'
import { CacheInfo } from './cache-info.ts'
import { ClosureUpload, type Failures } from './closure-upload.ts'
import { keysOf } from './keys.ts'
import { KnownPaths } from './known-paths.ts'
import { sendLog } from './log-upload.ts'
import { MissingPaths } from './missing-paths.ts'
import type { Packer } from './nar/packer.ts'
import { readBack, unsignedStays } from './read-back.ts'
import type { Upstream } from './upstream.ts'

/** What a writer is made of. */
export interface WriterContext {
  store: StoreSession
  transport: Transport
  packer: Packer
  upstream: Upstream
  /** Called with problems that are no failure but should be fixed. */
  onWarning: (message: string, path?: string) => void
}

/** What is known about the upload in addition to its paths: see `UploadHints` in delivery/. */
interface Hints {
  isRequeued?: boolean
  wasThere?: boolean
}

/** Writes a binary cache: the archives of store paths, their narinfos, and other files that are asked for. */
export class CacheWriter {
  readonly #destination: Destination
  readonly #context: WriterContext
  readonly #known: KnownPaths
  readonly #info: CacheInfo
  #upload: ClosureUpload | undefined

  constructor(destination: Destination, context: WriterContext) {
    this.#destination = destination
    this.#context = context
    this.#info = new CacheInfo(destination.to, context.transport)
    this.#known = new KnownPaths(context.transport, destination.presenceAgeMs)
  }

  /**
   * Uploads store paths with their closures.
   * @param drvPaths The derivations that built them, as far as that is known.
   * @returns The paths that failed by their own fault, and why; all others are there.
   * @throws {UploadFailure} if the destination is to blame.
   */
  async send(
    paths: readonly string[],
    drvPaths: readonly string[],
    signal: AbortSignal,
    progress: UploadProgress,
    hints: Hints = {},
  ): Promise<Failures> {
    const { derivations, logs } = this.#destination
    const { transport, onWarning } = this.#context
    // If the cache is a new one, nothing that is known about it is true any more.
    if (!(await this.#info.ensure(hints.wasThere === true, signal))) this.#known.forget()
    const failures = await this.#sendClosures(paths, hints, signal, progress)
    // Nothing protects a derivation from garbage collection once its outputs are built.
    const valid = derivations ? await this.#valid(drvPaths, signal) : []
    const ofDerivations = await this.#sendClosures(valid, hints, signal, progress)
    if (logs) for (const drvPath of drvPaths) await sendLog(drvPath, transport, signal, progress, onWarning)
    // The cache may have been replaced by another one during the upload.
    await this.#checkStill(signal)
    return new Map([...failures, ...ofDerivations])
  }

  /** Writes `nix-cache-info` with its present content, as a test: read permission doesn't imply write permission. */
  async probe(signal: AbortSignal): Promise<void> {
    await this.#info.rewrite(signal)
  }

  close(): void {
    this.#context.transport.close()
  }

  async #checkStill(signal: AbortSignal): Promise<void> {
    if (await this.#info.isThere(signal)) return
    // The operator was warned that nothing can be verified.
    if (this.#context.transport.isWriteOnly) return
    this.#known.forget()
    const message = 'the destination took the upload, and now there is no cache: its nix-cache-info is gone'
    throw new UploadFailure({ blame: 'destination', permanent: false, message })
  }

  async #valid(drvPaths: readonly string[], signal: AbortSignal): Promise<string[]> {
    if (drvPaths.length === 0) return []
    return (await this.#context.store.objects(drvPaths, signal)).map(({ path }) => path)
  }

  async #sendClosures(
    paths: readonly string[],
    { isRequeued = false }: Hints,
    signal: AbortSignal,
    progress: UploadProgress,
  ): Promise<Failures> {
    if (paths.length === 0) return new Map()
    const { store, transport, packer, upstream, onWarning } = this.#context
    const { verify: isStrict } = this.#destination
    const keys = keysOf(this.#destination)
    packer.getReady()
    const closure = await closureOf(store, paths, signal)
    const asked = new Set(paths)
    const withArchives = isRequeued || isStrict
    const isAnew = (path: string) => withArchives || asked.has(path)
    const known = this.#known
    const how = { keys, isStrict, isAnew, withArchives }
    const missing = new MissingPaths({ store, transport, upstream, known, ...how, onWarning })
    const failures = await this.#uploader().send(missing.of(closure, signal), keys, signal, progress)
    missing.checkNotEmptied()
    if (!isStrict) return withDependents(closure, failures)
    const sent = missing.paths.filter((path) => !failures.has(path))
    for (const part of partsOf(sent, ASKED_AT_ONCE)) {
      await readBack(known, transport, await store.valid(part, signal), keys, signal)
    }
    const stays = [...missing.unsigned].map(([path, why]) => [path, unsignedStays([path], why)] as const)
    return withDependents(closure, new Map([...failures, ...stays]))
  }

  /** An impossible URL is a failure of the destination, reported when it is used. */
  #uploader(): ClosureUpload {
    if (this.#upload) return this.#upload
    const { store, transport, packer, onWarning } = this.#context
    const parameters = parametersOf(this.#destination.to)
    const wantsListing = flagOf(parameters, 'write-nar-listing') === true
    const archives = new ArchiveUpload(transport, packer, compressionOf(parameters), wantsListing)
    this.#upload = new ClosureUpload({
      store,
      transport,
      archives,
      known: this.#known,
      keepsSignatures: this.#destination.verify,
      onWarning,
    })
    return this.#upload
  }
}

/** What refers to a path that failed has failed, too. */
function withDependents(closure: Closure, failures: Failures): Failures {
  if (failures.size === 0) return failures
  const all = new Map(failures)
  // References come before what refers to them.
  for (const [path, references] of closure) {
    const failed = references.map((reference) => all.get(reference)).find((failure) => failure !== undefined)
    if (failed && !all.has(path)) all.set(path, failed)
  }
  return all
}
