import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'

/** Where the files of a directory are written before their rename: on the same filesystem. */
export function temporaryDirectory(directory: string): string {
  return join(directory, '.nix-upload-tmp')
}

/** The names of logs may have 244 bytes, and no filesystem takes more than 255, some only 143. */
const NAME_BYTES = 64
/** Marks this process's files; other processes write beside them. */
const OURS = randomBytes(6).toString('hex')
let count = 0

/** A unique name for a file that is being written, from which a person can tell what it was to be. */
export function temporaryFile(path: string): string {
  return join(temporaryDirectory(dirname(path)), `${basename(path).slice(0, NAME_BYTES)}.${OURS}-${count++}`)
}
