import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { promisify } from 'node:util'
import { partsOf } from '../util/parts.ts'
import { codeOf, naming } from '../util/user-error.ts'
import type { Spool } from './layout.ts'

const fsyncAside = promisify(fsync)
/** This many files are open at a time: a process may have few handles. */
const WRITTEN_AT_ONCE = 16

/**
 * Writes a new file into `tmp/` under a name of its own.
 * @param sync Whether the bytes must survive a power loss before anything else happens. After a failed fsync the
 *   file is thrown away: a second fsync of the same file would lie (USENIX ATC 2020).
 * @returns Its path, for a rename to where it belongs.
 */
export function writeTemporary(spool: Spool, content: string, sync: boolean): string {
  const { path, fd } = openTemporary(spool, content)
  try {
    if (sync) fsyncSync(fd)
  } catch (error) {
    unlinkIfThere(path)
    throw naming(path, error)
  } finally {
    closeSync(fd)
  }
  return path
}

/**
 * Writes new files as `writeTemporary` does, and syncs them side by side: together they cost a disk little more than one.
 * @returns For each, its path, or the error of the system that came instead of it.
 */
export async function writeTemporaries(
  spool: Spool,
  contents: readonly string[],
): Promise<({ path: string } | { error: unknown })[]> {
  const written: ({ path: string } | { error: unknown })[] = []
  for (const some of partsOf(contents, WRITTEN_AT_ONCE)) {
    written.push(...(await Promise.all(some.map((content) => writeAside(spool, content)))))
  }
  return written
}

async function writeAside(spool: Spool, content: string): Promise<{ path: string } | { error: unknown }> {
  try {
    const { path, fd } = openTemporary(spool, content)
    try {
      await fsyncAside(fd)
      return { path }
    } catch (error) {
      unlinkIfThere(path)
      throw naming(path, error)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    return { error }
  }
}

interface OpenFile {
  path: string
  fd: number
}

function openTemporary(spool: Spool, content: string): OpenFile {
  const path = `${spool.tmp}/${randomUUID()}`
  const fd = openSync(path, 'wx', 0o644)
  try {
    writeAll(fd, Buffer.from(content))
    return { path, fd }
  } catch (error) {
    closeSync(fd)
    unlinkIfThere(path)
    throw naming(path, error)
  }
}

function writeAll(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}

/** Makes the names in a directory survive a power loss. */
export function fsyncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } catch (error) {
    throw naming(path, error)
  } finally {
    closeSync(fd)
  }
}

/** Renames a file from `tmp/` to where it belongs, over what is there. If that fails, it is removed. */
export function placeTemporary(temporary: string, path: string): void {
  try {
    renameSync(temporary, path)
  } catch (error) {
    unlinkIfThere(temporary)
    throw error
  }
}

/**
 * Renames a job into another directory, never over one that is there.
 * @returns The name it has there, or undefined if it was gone: somebody moved it, which is legal.
 */
export function moveJob(from: string, name: string, toDirectory: string): string | undefined {
  const target = freeName(toDirectory, name)
  return renameIfThere(from, `${toDirectory}/${target}`) ? target : undefined
}

/** Renames a file that may be gone already. */
export function renameIfThere(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && !exists(from)) return false
    throw error
  }
}

/** The name itself if it is free in the directory, otherwise with `~1`, `~2`, … before its ending. */
export function freeName(directory: string, name: string): string {
  let free = name
  for (let copy = 1; exists(`${directory}/${free}`); copy++) free = nameOfCopy(name, copy)
  return free
}

/** A file name has at most this many bytes. */
const NAME_MAX = 255

/** `X~1.json`, `X~2.json`, … of `X.json`: what a job is called where its name is taken. A long name loses its end. */
export function nameOfCopy(name: string, copy: number): string {
  const [stem, ending] = name.endsWith('.json') ? [name.slice(0, -5), '.json'] : [name, '']
  const letters = [...stem]
  const copyName = () => `${letters.join('')}~${copy}${ending}`
  while (Buffer.byteLength(copyName()) > NAME_MAX) letters.pop()
  return copyName()
}

/** The `X.json` of `X~1.json`; any other name as it is. */
export function originalName(name: string): string {
  return name.replace(/~\d+(?=\.json$|$)/, '')
}

/** True if there is something by that name, a dangling symlink included. */
export function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    // A job's name may be as long as a name can be; then nothing is called that and `.reason`.
    if (codeOf(error) === 'ENAMETOOLONG') return false
    throw error
  }
}

/**
 * Identifies a file by more than its name and inode, since both are used again. It changes when somebody writes to the
 * file. Undefined if the file is gone.
 */
export function identityOf(path: string): string | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats && identityIn(stats)
}

/** The same, of a file that was looked at already. */
export function identityIn(stats: Stats): string {
  return `${stats.birthtimeMs} ${versionIn(stats)}`
}

/** Identifies a file's content: it changes when somebody writes to the file. Undefined if the file is gone. */
export function versionOf(path: string): string | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats && versionIn(stats)
}

/** The same, of a file that was looked at already. */
export function versionIn({ ino, mtimeMs, size }: Stats): string {
  return `${ino} ${mtimeMs} ${size}`
}

/** Deletes a file that may be gone already. */
export function unlinkIfThere(path: string): boolean {
  try {
    unlinkSync(path)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENAMETOOLONG') return false
    throw error
  }
}
