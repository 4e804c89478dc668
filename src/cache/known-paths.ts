import type { StoreObject } from '../nix/store-server.ts'
import type { Transport } from '../transport/transport.ts'
import { forEachAtOnce } from '../util/busy-limit.ts'
import { type NarInfo, narinfoName, parseNarInfo } from './narinfo.ts'
import { noCacheFile, quoted } from './odd-answer.ts'

/** At most this many paths are remembered: some tens of megabytes. */
const KEPT = 200_000

/** Paths that are seen within this time share one reading of the clocks. */
const SHARED_MS = 50

/** A path that a cache has, by its narinfo. */
export interface Found {
  object: StoreObject
  info: NarInfo
  /** The narinfo itself. */
  text: string
}

interface Clock {
  /** Goes on while the machine sleeps, but may be set. */
  wall: number
  /** Can't be set, but may stand still. */
  monotonic: number
}

/**
 * The paths that a binary cache has: each is asked for once, and remembered for a while. If the cache was wiped, that is found
 * out after this time, or as soon as a path that is asked for anew is missing.
 */
export class KnownPaths {
  readonly #transport: Transport
  readonly #maxAgeMs: number
  /** When each path was last seen there, the oldest first. */
  readonly #seen = new Map<string, Clock>()
  #latest: Clock = { wall: 0, monotonic: Number.NEGATIVE_INFINITY }

  constructor(transport: Transport, maxAgeMs: number) {
    this.#transport = transport
    this.#maxAgeMs = maxAgeMs
  }

  has(path: string): boolean {
    const at = this.#seen.get(path)
    return at !== undefined && ageMs(at) <= this.#maxAgeMs
  }

  /** The path is there: it was seen, or uploaded. */
  note(path: string): void {
    this.#seen.delete(path)
    this.#seen.set(path, this.#now())
    const [oldest] = this.#seen.keys()
    if (this.#seen.size > KEPT && oldest !== undefined) this.#seen.delete(oldest)
  }

  /** Increased each time all is forgotten. */
  generation = 0

  /** Forgets all paths, since what is remembered may be wrong. */
  forget(): void {
    this.generation++
    this.#seen.clear()
  }

  /** Forgets a path that is not as it should be. */
  drop(path: string): void {
    this.#seen.delete(path)
  }

  /**
   * Asks for all that isn't known to be there.
   * @param isAnew Which are asked for even if they are known.
   * @returns The paths that were asked for and are there; they are not remembered yet. A path that is neither here nor known
   * is not there.
   * @throws {UploadFailure} if the cache can't be asked.
   */
  async ask(
    objects: readonly StoreObject[],
    isAnew: (path: string) => boolean,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Found>> {
    const unknown = objects.filter(({ path }) => !this.has(path) || isAnew(path))
    const found = await this.#askFor(unknown, signal)
    if (!unknown.some(({ path }) => this.#seen.has(path) && !found.has(path))) return found
    // A path that was there is gone, so other paths may be, too.
    this.forget()
    const asked = new Set(unknown)
    const rest = await this.#askFor(
      objects.filter((object) => !asked.has(object)),
      signal,
    )
    return new Map([...found, ...rest])
  }

  #now(): Clock {
    const monotonic = performance.now()
    if (monotonic - this.#latest.monotonic > SHARED_MS) this.#latest = { wall: Date.now(), monotonic }
    return this.#latest
  }

  async #askFor(objects: readonly StoreObject[], signal: AbortSignal): Promise<Map<string, Found>> {
    const found = new Map<string, Found>()
    await forEachAtOnce(objects, signal, async (object, either) => {
      const text = await this.#transport.get(narinfoName(object.path), either)
      const info = text === undefined ? undefined : narinfoIn(text, object.path)
      if (text !== undefined && info) found.set(object.path, { object, info, text })
    })
    return found
  }
}

/**
 * Reads the narinfo of a path.
 * @returns undefined if it is cut short, as after a power cut: it is written again.
 * @throws {UploadFailure} if it is no narinfo at all.
 */
function narinfoIn(text: string, path: string): NarInfo | undefined {
  const info = parseNarInfo(text)
  if (info?.storePath === path) return info
  if (info === undefined && isCutOff(text)) return undefined
  throw noCacheFile(narinfoName(path), info ? `the narinfo of ${info.storePath}` : quoted(text))
}

/** A disk that lost its power leaves files empty, cut short, or full of zeros. */
function isCutOff(text: string): boolean {
  return /^\0*$/.test(text) || text.startsWith('StorePath: ')
}

/** By the clock that has moved more, in either direction. */
function ageMs(at: Clock): number {
  return Math.max(Math.abs(Date.now() - at.wall), performance.now() - at.monotonic)
}
