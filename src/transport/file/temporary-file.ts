import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'

/** Where the files of a directory are written before their rename: on the same filesystem. */
export function temporaryDirectory(directory: string): string {
  return join(directory, '.nix-upload-tmp')
}

/** Marks this process's files; other processes write beside them. */
const OURS = randomBytes(6).toString('hex')
let count = 0

/** A unique name for a file that is being written. */
export function temporaryFile(path: string): string {
  return join(temporaryDirectory(dirname(path)), `${basename(path)}.${OURS}-${count++}`)
}
