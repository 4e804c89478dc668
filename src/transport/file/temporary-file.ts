import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'

/** Where the files of a directory are written before they come in their places: on the same filesystem. */
export function temporaryDirectory(directory: string): string {
  return join(directory, '.nix-upload-tmp')
}

/** Of this process's files, which others write beside. */
const OURS = randomBytes(6).toString('hex')
let count = 0

/** A name for a file that is being written, which is nobody else's. */
export function temporaryFile(path: string): string {
  return join(temporaryDirectory(dirname(path)), `${basename(path)}.${OURS}-${count++}`)
}
