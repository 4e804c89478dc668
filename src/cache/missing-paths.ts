import { ASKED_AT_ONCE, type Closure } from '../nix/closure.ts'
import type { SecretKey } from '../nix/secret-key.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { StoreSession } from '../nix/store-session.ts'
import type { Transport } from '../transport/transport.ts'
import { partsOf } from '../util/parts.ts'
import { UploadFailure } from '../util/verdict.ts'
import type { Found, KnownPaths } from './known-paths.ts'
import { withoutArchive } from './read-back.ts'
import { lackingKeys, resign } from './resign.ts'
import type { Upstream } from './upstream.ts'

/** How a closure is looked at, and by whom. */
interface MissingContext {
  store: StoreSession
  transport: Transport
  upstream: Upstream
  known: KnownPaths
  keys: readonly SecretKey[]
  /** Whether all paths must have our signature, also those that others have signed. */
  isStrict: boolean
  /** Which paths are asked for even if they are known. */
  isAnew: (path: string) => boolean
  /** Whether their archives are looked for, too. */
  withArchives: boolean
  onWarning: (message: string, path?: string) => void
}

/**
 * Finds out which paths of a closure a cache lacks, and signs narinfos that lack our signatures. It does so part by part,
 * as the paths are uploaded: all that is known of a large closure would take a hundred megabytes.
 */
export class MissingPaths {
  /** Those that were found to be missing so far. */
  readonly paths: string[] = []
  /** Where all must have our signature: the paths that are there without it, and why. */
  readonly unsigned = new Map<string, string>()
  readonly #context: MissingContext
  #generation: number | undefined

  constructor(context: MissingContext) {
    this.#context = context
  }

  /**
   * @returns The paths to upload, references first. The next part is looked at while one is uploaded.
   * @throws {UploadFailure} if the destination can't be asked; {NixFailure} if a path isn't valid any more.
   */
  async *of(closure: Closure, signal: AbortSignal): AsyncGenerator<StoreObject> {
    const ended = new AbortController()
    const either = AbortSignal.any([signal, ended.signal])
    const parts = partsOf([...closure.keys()], ASKED_AT_ONCE)
    const lookAtNext = () => {
      const { value: part } = parts.next()
      const lacking = part ? this.#lackingOf(part, either) : undefined
      // It may be that nobody waits for it any more.
      lacking?.catch(() => undefined)
      return lacking
    }
    try {
      for (let next = lookAtNext(); next; ) {
        const lacking = await next
        next = lookAtNext()
        for (const object of lacking) {
          this.paths.push(object.path)
          yield object
        }
      }
    } finally {
      ended.abort()
    }
  }

  async #lackingOf(part: readonly string[], signal: AbortSignal): Promise<readonly StoreObject[]> {
    const { store, upstream, known } = this.#context
    const objects = await store.valid(part, signal)
    const ours = objects.filter((object) => !upstream.hasSigned(object))
    await this.#look(ours, signal)
    this.#generation ??= known.generation
    const absent = ours.filter(({ path }) => !known.has(path) && !this.unsigned.has(path))
    return await upstream.lacking(absent, signal)
  }

  /**
   * To be called after the upload: if something was found to be gone since the first look, other paths that were there may be gone, too.
   * @throws {UploadFailure} if so.
   */
  checkNotEmptied(): void {
    if ((this.#generation ?? this.#context.known.generation) === this.#context.known.generation) return
    const message = 'the cache lost something while it was written to, so what was uploaded is looked at anew'
    throw new UploadFailure({ blame: 'destination', permanent: false, message })
  }

  /** Looks which paths are there, and remembers them. */
  async #look(objects: readonly StoreObject[], signal: AbortSignal): Promise<void> {
    const { known, transport, keys, isStrict, isAnew, withArchives, onWarning } = this.#context
    const found = await known.ask(objects, isAnew, signal)
    const without = withArchives ? await withoutArchive(found.values(), transport, signal) : new Set<string>()
    const whole = [...found.values()].filter(({ object }) => !without.has(object.path))
    const unsigned = await resign(
      whole.filter((one) => this.#isWanting(one)),
      keys,
      transport,
      signal,
    )
    for (const { path, why } of unsigned) {
      onWarning(`a path that was there before stays without our signature: ${why}`, path)
      if (isStrict) this.unsigned.set(path, why)
    }
    for (const path of without) known.drop(path)
    // Paths that still lack a signature are looked at again next time.
    for (const { object } of whole) if (!this.unsigned.has(object.path)) known.note(object.path)
  }

  #isWanting(one: Found): boolean {
    const { keys, isStrict } = this.#context
    return (
      one.object.contentAddress === '' &&
      // Paths that others have signed are left alone, unless all must have our signature.
      (isStrict || one.info.signatures.length === 0) &&
      lackingKeys(one, keys).length > 0
    )
  }
}
