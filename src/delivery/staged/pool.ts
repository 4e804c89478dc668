import { existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type LocalCache, type Packing, packInto } from '../../nix/stage.ts'
import type { StoreObject } from '../../nix/store-server.ts'
import { Mutex } from '../../util/mutex.ts'
import type { Budget, Reservation, Stored } from './budget.ts'
import { NoRoom, orNoRoom } from './no-room.ts'
import { layPlaceholders } from './placeholders.ts'
import type { ScratchSpace } from './scratch.ts'
import { bytesOf, moveStaged, removeFile, type StagedPath } from './staged-path.ts'

interface Entry extends Stored {
  staged: StagedPath
  /** The destinations that this may still be sent to. */
  awaited: Set<string>
}

/** Staged paths that somebody is sending, which stay as long as that takes. */
export interface Lease {
  paths: readonly StagedPath[]
  /** @param isTaken Whether the destination has got them all. */
  end(isTaken: boolean): void
}

/**
 * Paths packed alike (the same key, the same compression), for one destination or several: each is packed once, and
 * goes when all of them have it, when nobody has use for it, or when room is needed.
 */
export class Pool {
  readonly #prefix: string
  #directory: string | undefined
  readonly #packing: Packing
  readonly #budget: Budget
  readonly #scratch: ScratchSpace
  /** The names of those that take from it. */
  readonly #destinations = new Set<string>()
  readonly #entries = new Map<string, Entry>()
  /** How many paths share a file. */
  readonly #uses = new Map<string, number>()
  readonly #mutex = new Mutex()

  /** @param prefix Of the path of its directory, which is made when it is needed. */
  constructor(prefix: string, packing: Packing, budget: Budget, scratch: ScratchSpace) {
    this.#prefix = prefix
    this.#packing = packing
    this.#budget = budget
    this.#scratch = scratch
  }

  /** @param destination Its name: what is staged for others is kept for it too. */
  join(destination: string): void {
    this.#destinations.add(destination)
  }

  /**
   * Stages what isn't yet, waiting for room if need be.
   * @param objects What they refer to is among them, or at the destination.
   * @throws {NixFailure} where Nix can't pack one of them.
   */
  async lease(destination: string, objects: readonly StoreObject[], signal: AbortSignal): Promise<Lease> {
    for (;;) {
      const freed = this.#budget.freed()
      const lease = await this.#mutex.run(() => this.#leaseNow(destination, objects, signal))
      if (lease) return lease
      await Promise.race([freed, aborted(signal)])
    }
  }

  async #leaseNow(
    destination: string,
    objects: readonly StoreObject[],
    signal: AbortSignal,
  ): Promise<Lease | undefined> {
    signal.throwIfAborted()
    const kept = new Set(objects.flatMap(({ path }) => this.#entries.get(path) ?? []))
    const lacking = objects.filter(({ path }) => !this.#entries.has(path))
    const bytes = lacking.reduce((sum, { narSize }) => sum + narSize, 0)
    const room = this.#budget.reserve(bytes, kept)
    if (!room) return undefined
    for (const entry of kept) this.#budget.pin(entry)
    try {
      await this.#pack(lacking, room, signal)
      const entries = objects.flatMap(({ path }) => this.#entries.get(path) ?? [])
      for (const entry of entries) this.#budget.pin(entry)
      return {
        paths: entries.map(({ staged }) => staged),
        end: (isTaken) => this.#end(destination, entries, isTaken),
      }
    } finally {
      room.end()
      for (const entry of kept) this.#budget.unpin(entry)
    }
  }

  /** Derivations go by themselves: Nix takes either them or other paths. */
  async #pack(objects: readonly StoreObject[], room: Reservation, signal: AbortSignal): Promise<void> {
    const isDerivation = ({ path }: StoreObject) => path.endsWith('.drv')
    const groups = [
      objects.filter((object) => !isDerivation(object)),
      objects.filter((object) => isDerivation(object)),
    ]
    for (const group of groups) if (group.length > 0) await this.#packWithRoom(group, room, signal)
  }

  /** Where the disk is full, all that nobody is sending goes, and it is tried once more. */
  async #packWithRoom(
    objects: readonly StoreObject[],
    room: Reservation,
    signal: AbortSignal,
  ): Promise<void> {
    const before = this.#budget.bytes
    try {
      return await this.#packAlike(objects, room, signal)
    } catch (error) {
      if (!(error instanceof NoRoom)) throw error
      this.#budget.sweep(() => true)
      if (this.#budget.bytes >= before) throw error
    }
    try {
      await this.#packAlike(objects, room, signal)
    } catch (error) {
      if (error instanceof NoRoom) this.#budget.sweep(() => true)
      throw error
    }
  }

  /** @throws {NoRoom} where the disk is full. */
  async #packAlike(objects: readonly StoreObject[], room: Reservation, signal: AbortSignal): Promise<void> {
    const root = dirname(this.#prefix)
    const paths = objects.map(({ path }) => path)
    const pack = async (cache: LocalCache) => {
      try {
        await layPlaceholders(objects, cache.directory)
        await packInto(cache, this.#packing, paths, signal)
      } catch (error) {
        throw await orNoRoom(error, root)
      } finally {
        const directory = this.#makeDirectory()
        for (const staged of moveStaged(objects, cache.directory, directory)) this.#add(staged, room)
      }
    }
    try {
      await this.#scratch.use(pack)
    } catch (error) {
      throw await orNoRoom(error, root)
    }
  }

  /** By a name that nobody can guess, as the stage may lie where others write, and anew where it was deleted. */
  #makeDirectory(): string {
    if (this.#directory === undefined || !existsSync(this.#directory))
      this.#directory = mkdtempSync(this.#prefix)
    mkdirSync(join(this.#directory, 'nar'), { recursive: true })
    return this.#directory
  }

  #add(staged: StagedPath, room: Reservation): void {
    const files = staged.parts.map(({ file }) => file)
    for (const file of files) this.#uses.set(file, (this.#uses.get(file) ?? 0) + 1)
    const entry: Entry = {
      staged,
      awaited: new Set(this.#destinations),
      bytes: bytesOf(staged),
      pins: 0,
      usedAt: performance.now(),
      drop: () => {
        this.#entries.delete(staged.object.path)
        for (const file of files) this.#letGo(file)
      },
    }
    this.#entries.set(staged.object.path, entry)
    room.spend(staged.object.narSize, entry)
  }

  #letGo(file: string): void {
    const uses = (this.#uses.get(file) ?? 1) - 1
    if (uses > 0) this.#uses.set(file, uses)
    else {
      this.#uses.delete(file)
      removeFile(file)
    }
  }

  #end(destination: string, entries: readonly Entry[], isTaken: boolean): void {
    for (const entry of entries) {
      this.#budget.unpin(entry)
      if (isTaken) this.#take(destination, entry)
    }
  }

  /** A destination has these paths, from wherever. */
  taken(destination: string, paths: readonly string[]): void {
    if (this.#entries.size === 0) return
    for (const path of paths) {
      const entry = this.#entries.get(path)
      if (entry) this.#take(destination, entry)
    }
  }

  #take(destination: string, entry: Entry): void {
    entry.awaited.delete(destination)
    if (entry.awaited.size === 0 && entry.pins === 0) this.#budget.drop(entry)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
