import { NixFailure, unlessEnded } from './failure.ts'
import { SilentEnd, type StoreObject, StoreServer } from './store-server.ts'

/**
 * How long a session is kept for more questions, and its answers count. It is short, since paths come and go. A nix-daemon
 * behind it would even remember answers for an hour, and not every user may turn that off.
 */
const KEPT_MS = 5_000

/**
 * Asks the local store about paths, many times a second if necessary. Starting Nix each time would take too long, so it uses
 * the protocol of ssh:// stores, which is the same in all versions of Nix.
 */
export class StoreSession {
  #server: StoreServer | undefined
  #end: NodeJS.Timeout | undefined
  /** The answers of this session. */
  readonly #known = new Map<string, StoreObject>()
  readonly #texts = new Map<string, string>()
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

  /** A valid path that was asked for a moment ago. */
  known(path: string): StoreObject | undefined {
    return this.#known.get(path)
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
    for (const object of await server.objects(unknown, signal)) {
      const path = this.#once(object.path)
      this.#known.set(path, {
        ...object,
        path,
        references: object.references.map((each) => this.#once(each)),
      })
    }
  }

  /** A path and all references to it share one string: in a large closure these strings take most of the memory. */
  #once(path: string): string {
    const first = this.#texts.get(path)
    if (first === undefined) this.#texts.set(path, path)
    return first ?? path
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
    this.#texts.clear()
  }
}
