import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, opendirSync, symlinkSync, unlinkSync } from 'node:fs'
import { syncPath } from '../util/sync.ts'
import { codeOf } from '../util/user-error.ts'
import { hashOf } from './store-path.ts'

/**
 * The GC roots of queued jobs: flat symlinks `KEY.HASH` to store paths, in one directory below Nix's `gcroots`.
 * Flat, because root's hook makes them and an unprivileged daemon removes them: the daemon may do so in its own directory, but
 * not in a subdirectory that root made. One for each job and path, because two jobs may hold the same path.
 */
export class GcRoots {
  readonly directory: string | undefined

  /** @param directory Where the roots lie; empty turns roots off. */
  constructor(directory: string) {
    this.directory = directory === '' ? undefined : directory
  }

  /** Makes the directory if it is missing and Nix's own `gcroots` exists. */
  prepare(): void {
    if (this.directory === undefined || lstatSync(this.directory, { throwIfNoEntry: false })) return
    mkdirSync(this.directory, 0o755)
  }

  /**
   * Makes the roots that are missing.
   * @returns The paths that had none. A garbage collection that is running doesn't see them: see `tellCollector`.
   * @throws A system error if they can't be made (no directory, no permission, name too long).
   */
  hold(job: string, storePaths: readonly string[]): string[] {
    const made: string[] = []
    if (this.directory === undefined) return made
    for (const path of storePaths) {
      try {
        symlinkSync(path, `${this.directory}/${rootName(job, path)}`)
        made.push(path)
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error
      }
    }
    return made
  }

  /**
   * Syncs new roots, so that they survive a power cut.
   * @throws A system error if the disk can't.
   */
  async sync(): Promise<void> {
    if (this.directory !== undefined) await syncPath(this.directory)
  }

  /** Removes a job's roots; those that are gone already are no error. */
  release(job: string, storePaths: readonly string[]): void {
    if (this.directory === undefined) return
    for (const path of storePaths) {
      try {
        unlinkSync(`${this.directory}/${rootName(job, path)}`)
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENAMETOOLONG') throw error
      }
    }
  }

  /** Streams the roots; there are none without a directory. Foreign files in it are skipped. */
  *entries(): Generator<{ key: string; path: string }> {
    if (this.directory === undefined || !lstatSync(this.directory, { throwIfNoEntry: false })) return
    const directory = opendirSync(this.directory, { bufferSize: 256 })
    try {
      for (let entry = directory.readSync(); entry; entry = directory.readSync()) {
        const key = /^(.+)\.[0-9a-z]{32}$/.exec(entry.name)?.[1]
        if (key === undefined || !entry.isSymbolicLink()) continue
        yield { key, path: `${this.directory}/${entry.name}` }
      }
    } finally {
      directory.closeSync()
    }
  }
}

/** A key of this length with the hash after it fits into a file name (255 bytes). */
const KEY_MAX = 222

/**
 * The key of a job's roots: the job's name without the time in front, since the hook asks for the time while it makes
 * the roots. The unique part of the name comes after the time.
 */
export function rootKey(job: string): string {
  const key = job.replace(/^\d{8}T\d{6}Z-(?=.)/, '')
  if (Buffer.byteLength(key) <= KEY_MAX) return key
  return `long-${createHash('sha256').update(key).digest('hex')}`
}

function rootName(job: string, storePath: string): string {
  return `${rootKey(job)}.${hashOf(storePath)}`
}
