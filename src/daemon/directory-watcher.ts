import { lstatSync } from 'node:fs'
import { type FSWatcher, watch } from 'chokidar'

/** For more names than this, a look at the whole directory is cheaper than a look at each. */
const NAMES_KEPT = 1000

/**
 * Tells when something happens to an entry of a directory. Events may get lost, since inotify's queue overflows silently:
 * only the speed of noticing a change may depend on it.
 *
 * chokidar is told to ignore every entry, so that it keeps no list of them and its memory doesn't grow with the
 * directory; its raw events then come at once and name the entry.
 */
export class DirectoryWatcher {
  readonly directory: string
  readonly #onChange: (name: string) => void
  #watcher: FSWatcher | undefined
  #inode: number | undefined
  #names = new Set<string>()
  #hasMissed = false

  /** @param onChange Called with the entry's name, before `takeNames` has it. */
  constructor(directory: string, onChange: (name: string) => void) {
    this.directory = directory
    this.#onChange = onChange
  }

  /** Also false if the directory was deleted and made again. */
  get isWatching(): boolean {
    return this.#watcher !== undefined && this.#inode === inodeOf(this.directory)
  }

  /** Starts watching, again where it did before; resolves when it does. */
  async start(): Promise<void> {
    await this.stop()
    const watcher = watch(this.directory, {
      depth: 0,
      ignoreInitial: true,
      ignored: (path) => path !== this.directory,
    })
    this.#watcher = watcher
    this.#inode = inodeOf(this.directory)
    watcher.on('raw', (_event, name) => this.#hear(name ?? ''))
    // If nothing can be watched (no inotify watches left), the rescan finds everything, later.
    watcher.on('error', () => undefined)
    await new Promise<void>((resolve) => watcher.once('ready', resolve))
  }

  /** The entries heard of since the last call, or undefined if there were too many to keep. */
  takeNames(): Set<string> | undefined {
    const names = this.#hasMissed ? undefined : this.#names
    this.#names = new Set()
    this.#hasMissed = false
    return names
  }

  async stop(): Promise<void> {
    const watcher = this.#watcher
    this.#watcher = undefined
    await watcher?.close()
  }

  #hear(name: string): void {
    if (this.#names.size < NAMES_KEPT) this.#names.add(name)
    else this.#hasMissed = true
    this.#onChange(name)
  }
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino
}
