import type { Destination } from '../../config/config.ts'
import { closureOf } from '../../nix/closure.ts'
import { NixFailure } from '../../nix/failure.ts'
import { storeDirectory } from '../../nix/local-store.ts'
import { isSignedWith } from '../../nix/narinfo.ts'
import type { StoreObject } from '../../nix/store-server.ts'
import type { StoreSession } from '../../nix/store-session.ts'
import { publicKeyOf } from '../../nix/verify.ts'
import { stillValid, unsignedStays } from '../nix-route.ts'
import type { Progress, Route } from '../route.ts'
import { CACHE_INFO, ensureCacheInfo } from './cache-info.ts'
import { chunksOf } from './chunks.ts'
import { NoRoom } from './no-room.ts'
import { oneAhead } from './one-ahead.ts'
import type { Lease, Pool } from './pool.ts'
import { type Found, Presence } from './presence.ts'
import { readBack } from './read-back.ts'
import { repair, type Unsigned } from './repair.ts'
import type { ScratchSpace } from './scratch.ts'
import { ClosureSender } from './send-closure.ts'
import { sendLog } from './send-log.ts'
import type { Transport } from './transport.ts'
import type { Upstream } from './upstream.ts'

/** What a staged destination is made of. */
export interface StagedContext {
  store: StoreSession
  transport: Transport
  /** Where its paths are packed; shared with destinations that want them packed alike. */
  pool: Pool
  scratch: ScratchSpace
  upstream: Upstream
  /** For how long what was seen at the destination holds. */
  presenceAgeMs: number
  /** At most so many bytes of NARs are staged at a time for one batch. */
  chunkBytes: number
  /** Told of narinfos there that lack our signature and stay so. */
  onUnsigned: (unsigned: readonly Unsigned[]) => void
}

/** Uploads by way of a stage on this machine: Nix packs and signs what the destination lacks, and we send the files. */
export class StagedRoute implements Pick<Route, 'send' | 'probe'> {
  readonly #destination: Destination
  readonly #context: StagedContext
  readonly #presence: Presence
  readonly #sender: ClosureSender
  /** Asking Nix takes longer than the request. */
  #storeDir: Promise<string> | undefined

  constructor(destination: Destination, context: StagedContext) {
    this.#destination = destination
    this.#context = context
    this.#presence = new Presence(context.transport, context.presenceAgeMs)
    this.#sender = new ClosureSender(context.transport, this.#presence)
  }

  async send(
    paths: readonly string[],
    drvPaths: readonly string[],
    signal: AbortSignal,
    progress: Progress,
  ): Promise<void> {
    try {
      const { derivations, logs } = this.#destination
      await this.#greet(signal)
      await this.#sendClosure(paths, signal, progress)
      if (derivations) await this.#sendClosure(await stillValid(drvPaths, signal), signal, progress)
      if (logs) for (const drvPath of drvPaths) await sendLog(drvPath, this.#context, signal, progress)
    } catch (error) {
      // Whatever the pieces make of it.
      if (signal.aborted) throw new NixFailure([], 'aborted')
      throw error
    }
  }

  async probe(_paths: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#context.transport.get(CACHE_INFO, signal)
  }

  close(): void {
    this.#context.transport.close()
  }

  /** The file that whoever reads a cache looks at first. One that is gone takes what we know of the cache along. */
  async #greet(signal: AbortSignal): Promise<void> {
    this.#storeDir ??= storeDirectory()
    const wasThere = await ensureCacheInfo(this.#context.transport, await this.#storeDir, signal)
    if (!wasThere) this.#presence.forget()
  }

  async #sendClosure(paths: readonly string[], signal: AbortSignal, progress: Progress): Promise<void> {
    if (paths.length === 0) return
    const { store, pool, upstream, chunkBytes } = this.#context
    const { name, secretKeyFile } = this.#destination
    // Nix's own words for a key that it can't read name no culprit, and a job would be blamed for them.
    const publicKey = secretKeyFile === undefined ? undefined : publicKeyOf(secretKeyFile)
    const objects = await closureOf(store, paths, signal)
    const ours = objects.filter((object) => !upstream.hasSigned(object))
    const unsigned = await this.#look(ours, new Set(paths), publicKey, signal)
    const absent = ours.filter(({ path }) => !this.#presence.has(path) && !unsigned.has(path))
    const missing = await upstream.lacking(absent, signal)
    pool.taken(
      name,
      ours.filter((object) => !missing.includes(object)).map(({ path }) => path),
    )
    await this.#sendChunks(chunksOf(missing, chunkBytes), signal, progress)
    if (this.#destination.verify) await readBack(this.#presence, missing, publicKey, signal)
    const [first] = unsigned
    if (first && this.#destination.verify) throw unsignedStays([...unsigned.keys()], first[1])
  }

  /**
   * Looks what is there, and remembers it.
   * @returns The paths that are there without our signature although there should be one, and why.
   */
  async #look(
    objects: readonly StoreObject[],
    asked: ReadonlySet<string>,
    publicKey: string | undefined,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    const found = await this.#presence.ask(objects, (path) => asked.has(path), signal)
    const isWanting = ({ info, object }: Found) =>
      publicKey !== undefined &&
      !object.isContentAddressed &&
      // Others may sign for themselves what they upload, unless all is to be ours.
      (this.#destination.verify || info.signatures.length === 0) &&
      !isSignedWith(info, publicKey)
    const wanting = [...found.values()].filter(isWanting)
    const { secretKeyFile } = this.#destination
    const { transport, scratch, onUnsigned } = this.#context
    const unsigned =
      wanting.length > 0 && secretKeyFile !== undefined
        ? await repair(wanting, secretKeyFile, transport, scratch, signal)
        : []
    const stays = new Map(unsigned.map(({ path, why }) => [path, why]))
    if (unsigned.length > 0) onUnsigned(unsigned)
    // What is to be signed is looked at again next time.
    for (const path of found.keys())
      if (!this.#destination.verify || !stays.has(path)) this.#presence.note(path)
    return this.#destination.verify ? stays : new Map()
  }

  /** Sends a chunk after the other; while one is on its way, the next is packed. */
  async #sendChunks(
    chunks: Iterable<readonly StoreObject[]>,
    signal: AbortSignal,
    progress: Progress,
  ): Promise<void> {
    const pack = (chunk: readonly StoreObject[], either: AbortSignal) => this.#pack(chunk, either)
    const discard = (lease: Lease | NoRoom) => lease instanceof NoRoom || lease.end(false)
    for await (const [chunk, lease] of oneAhead(chunks, pack, discard, signal)) {
      // There may be, now that the one before it is gone.
      if (lease instanceof NoRoom) await this.#sendChunk(chunk, signal, progress)
      else await this.#sendPacked(lease, signal, progress)
    }
  }

  async #sendChunk(chunk: readonly StoreObject[], signal: AbortSignal, progress: Progress): Promise<void> {
    const lease = await this.#pack(chunk, signal)
    if (!(lease instanceof NoRoom)) return await this.#sendPacked(lease, signal, progress)
    if (chunk.length === 1) throw lease
    // What is too much for the disk may not be in two halves.
    const middle = Math.ceil(chunk.length / 2)
    await this.#sendChunk(chunk.slice(0, middle), signal, progress)
    await this.#sendChunk(chunk.slice(middle), signal, progress)
  }

  async #pack(chunk: readonly StoreObject[], signal: AbortSignal): Promise<Lease | NoRoom> {
    try {
      return await this.#context.pool.lease(this.#destination.name, chunk, signal)
    } catch (error) {
      if (error instanceof NoRoom) return error
      throw error
    }
  }

  async #sendPacked(lease: Lease, signal: AbortSignal, progress: Progress): Promise<void> {
    let isTaken = false
    try {
      await this.#sender.send(lease.paths, signal, progress)
      isTaken = true
    } finally {
      lease.end(isTaken)
    }
  }
}
