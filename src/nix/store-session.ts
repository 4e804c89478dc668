import { NixFailure, unlessEnded } from './failure.ts'
import { SilentEnd, type StoreObject, StoreServer } from './store-server.ts'

/**
 * How long a session is kept for more questions, and its answers count. It is short, since paths come and go. A nix-daemon
 * behind it would even remember answers for an hour, and not every user may turn that off.
 */
const KEPT_MS = 5_000
/** How many answers are kept: a kilobyte each. */
const KEPT = 2_000

/**
 * Asks the local store about paths, many times a second if necessary. Starting Nix each time would take too long, so it uses
 * the protocol of ssh:// stores, which is the same in all versions of Nix.
 */
export class StoreSession {
  #server: StoreServer | undefined
  #end: NodeJS.Timeout | undefined
  /** The answers of this session. */
  readonly #known = new Map<string, StoreObject>()
  /** Questions are asked one after the other. */
  #last: Promise<unknown> = Promise.resolve()

  /**
   * Looks store paths up.
   * @returns Those that are valid.
   * @throws {NixFailure} if Nix couldn't tell.
   * @throws {NotStartedError} if there is no Nix.
   */
  async objects(paths: readonly string[], signal: AbortSignal): Promise<StoreObject[]> {
    const asked = this.#last.then(() => this.#ask([...new Set(paths)], signal))
    this.#last = asked.catch(() => undefined)
    return await asked
  }

  /**
   * Looks store paths up, whatever was answered before.
   * @throws As `objects` does.
   */
  async anew(paths: readonly string[], signal: AbortSignal): Promise<StoreObject[]> {
    this.close()
    return await this.objects(paths, signal)
  }

  /**
   * Looks up store paths that must be valid.
   * @throws As `objects` does, and {NixFailure} if one isn't valid.
   */
  async valid(paths: readonly string[], signal: AbortSignal): Promise<StoreObject[]> {
    const objects = await this.objects(paths, signal)
    const valid = new Set(objects.map(({ path }) => path))
    const gone = paths.find((path) => !valid.has(path))
    if (gone !== undefined) throw new NixFailure([`path '${gone}' is not valid`], undefined)
    return objects
  }

  /** Gets ready for questions that are about to come. */
  open(): void {
    this.#server ??= this.#start()
  }

  /** Ends the session once the last question is answered. */
  close(): void {
    clearTimeout(this.#end)
    this.#last = this.#last.then(() => this.#drop())
  }

  async #ask(paths: readonly string[], signal: AbortSignal): Promise<StoreObject[]> {
    if (signal.aborted) throw new NixFailure([], 'aborted')
    if (this.#known.size > KEPT) this.#known.clear()
    try {
      // It may have ended while nobody asked.
      if (this.#server) await this.#learn(this.#server, paths, signal).catch(unlessEnded)
      if (paths.some((path) => !this.#known.has(path))) {
        // A missing path may have come into the store since. A Ctrl-C may end the first one at its start, before it has a
        // process group of its own.
        await this.#learnAnew(paths, signal).catch((error: unknown) => {
          if (!(error instanceof SilentEnd)) throw error
          return this.#learnAnew(paths, signal)
        })
      }
    } catch (error) {
      this.#drop()
      throw error
    }
    return paths.flatMap((path) => this.#known.get(path) ?? [])
  }

  async #learnAnew(paths: readonly string[], signal: AbortSignal): Promise<void> {
    this.#drop()
    this.#server = this.#start()
    await this.#learn(this.#server, paths, signal)
  }

  async #learn(server: StoreServer, paths: readonly string[], signal: AbortSignal): Promise<void> {
    const unknown = paths.filter((path) => !this.#known.has(path))
    if (unknown.length === 0) return
    for (const object of await server.objects(unknown, signal)) this.#known.set(object.path, object)
  }

  #start(): StoreServer {
    this.#end = setTimeout(() => this.close(), KEPT_MS).unref()
    return new StoreServer()
  }

  #drop(): void {
    clearTimeout(this.#end)
    this.#server?.end()
    this.#server = undefined
    this.#known.clear()
  }
}
