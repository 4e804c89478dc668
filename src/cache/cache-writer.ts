import { compressionOf } from '../config/compression.ts'
import type { Destination } from '../config/config.ts'
import { flagOf } from '../config/store-flags.ts'
import { parametersOf } from '../config/store-parameters.ts'
import { closureOf } from '../nix/closure.ts'
import type { SecretKey } from '../nix/secret-key.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { StoreSession } from '../nix/store-session.ts'
import type { Transport } from '../transport/transport.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { UploadFailure } from '../util/verdict.ts'
import { ArchiveUpload } from './archive-upload.ts'
import { CacheInfo } from './cache-info.ts'
import { ClosureUpload, type Failures } from './closure-upload.ts'
import { keysOf } from './keys.ts'
import { type Found, KnownPaths } from './known-paths.ts'
import { sendLog } from './log-upload.ts'
import type { Packer } from './nar/packer.ts'
import { readBack, unsignedStays, withoutArchive } from './read-back.ts'
import { lackingKeys, resign } from './resign.ts'
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

  /** Another batch found that something was gone: paths that this one relied on may be gone, too. */
  #checkNotEmptied(generation: number): void {
    if (this.#known.generation === generation) return
    const message = 'the cache lost something while it was written to, so what was uploaded is looked at anew'
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
    const { store, transport, packer, upstream } = this.#context
    const { verify } = this.#destination
    const keys = keysOf(this.#destination)
    packer.getReady()
    const objects = await closureOf(store, paths, signal)
    const ours = objects.filter((object) => !upstream.hasSigned(object))
    const asked = new Set(paths)
    const isAnew = (path: string) => isRequeued || verify || asked.has(path)
    const unsigned = await this.#look(ours, { isAnew, withArchives: isRequeued || verify }, keys, signal)
    const { generation } = this.#known
    const absent = ours.filter(({ path }) => !this.#known.has(path) && !unsigned.has(path))
    const missing = await upstream.lacking(absent, signal)
    const failures = await this.#uploader().send(missing, keys, signal, progress)
    this.#checkNotEmptied(generation)
    if (!verify) return withDependents(objects, failures)
    const sent = missing.filter(({ path }) => !failures.has(path))
    await readBack(this.#known, transport, sent, keys, signal)
    const stays = [...unsigned].map(([path, why]) => [path, unsignedStays([path], why)] as const)
    return withDependents(objects, new Map([...failures, ...stays]))
  }

  /** An impossible URL is a failure of the destination, reported when it is used. */
  #uploader(): ClosureUpload {
    if (this.#upload) return this.#upload
    const { transport, packer, onWarning } = this.#context
    const parameters = parametersOf(this.#destination.to)
    const wantsListing = flagOf(parameters, 'write-nar-listing') === true
    const archives = new ArchiveUpload(transport, packer, compressionOf(parameters), wantsListing)
    this.#upload = new ClosureUpload({ transport, archives, known: this.#known, onWarning })
    return this.#upload
  }

  /**
   * Looks which paths are there, and remembers them. Narinfos without our signatures are signed.
   * @param how Which paths are asked for even if they are known, and whether their archives are looked for, too.
   * @returns With `verify`, the paths that are there without our signature, and why.
   */
  async #look(
    objects: readonly StoreObject[],
    { isAnew, withArchives }: { isAnew: (path: string) => boolean; withArchives: boolean },
    keys: readonly SecretKey[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const { verify } = this.#destination
    const { transport, onWarning } = this.#context
    const found = await this.#known.ask(objects, isAnew, signal)
    const without = withArchives ? await withoutArchive(found.values(), transport, signal) : new Set<string>()
    const whole = [...found.values()].filter(({ object }) => !without.has(object.path))
    const isWanting = (one: Found) =>
      one.object.contentAddress === '' &&
      // Paths that others have signed are left alone, unless all must have our signature.
      (verify || one.info.signatures.length === 0) &&
      lackingKeys(one, keys).length > 0
    const unsigned = await resign(whole.filter(isWanting), keys, transport, signal)
    const stays = new Map(unsigned.map(({ path, why }) => [path, why]))
    for (const { path, why } of unsigned) {
      onWarning(`a path that was there before stays without our signature: ${why}`, path)
    }
    for (const path of without) this.#known.drop(path)
    // Paths that still lack a signature are looked at again next time.
    for (const { object } of whole) if (!verify || !stays.has(object.path)) this.#known.note(object.path)
    return verify ? stays : new Map()
  }
}

/** What refers to a path that failed has failed, too. */
function withDependents(objects: readonly StoreObject[], failures: Failures): Failures {
  if (failures.size === 0) return failures
  const all = new Map(failures)
  // References come before what refers to them.
  for (const { path, references } of objects) {
    const failed = references.map((reference) => all.get(reference)).find((failure) => failure !== undefined)
    if (failed && !all.has(path)) all.set(path, failed)
  }
  return all
}
