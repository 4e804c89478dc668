import { constants, openSync, readdirSync } from 'node:fs'
import { codeOf } from '../../util/user-error.ts'

/** If a file is replaced by a FIFO, it must not block us. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** What macOS stores get behind names that differ in capitals only (nix: src/libutil/archive.cc). */
const CASE_HACK = /~nix~case~hack~\d+$/

/** Why a store path can't be packed. */
export class NotPackable extends Error {
  override name = 'NotPackable'
}

/** A name in a directory, one character a byte: on the disk, and in the archive. */
export interface Name {
  onDisk: string
  inArchive: string
}

/**
 * Opens a file or a directory.
 * @returns undefined for a symlink.
 * @throws {NotPackable} for a socket.
 */
export function openUnlessLink(path: Buffer): number | undefined {
  try {
    return openSync(path, FLAGS)
  } catch (error) {
    if (codeOf(error) === 'ELOOP') return undefined
    if (codeOf(error) === 'ENXIO') throw notPackable(path)
    throw error
  }
}

/** The error for a pipe, a socket or a device. */
export function notPackable(path: Buffer): NotPackable {
  return new NotPackable(`${path} is neither a file nor a directory nor a symlink`)
}

/** The names in a directory, sorted by their bytes, as Nix does. */
export function namesIn(directory: Buffer): IterableIterator<Name> {
  const names = readdirSync(directory, 'latin1')
  if (process.platform !== 'darwin') {
    return names
      .sort()
      .map((name) => ({ onDisk: name, inArchive: name }))
      .values()
  }
  return names
    .map((onDisk) => ({ onDisk, inArchive: onDisk.replace(CASE_HACK, '') }))
    .sort((one, other) => (one.inArchive < other.inArchive ? -1 : 1))
    .values()
}
