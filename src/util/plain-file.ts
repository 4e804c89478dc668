import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'

/** What is there is no file that can be read to its end, such as a directory or a FIFO. */
export class NotAFileError extends Error {}

/**
 * Reads a text file that a person named. A FIFO that nobody writes to would block this process for ever, and a device may have no
 * end, so they are refused, but for `/dev/null`.
 * @throws {NotAFileError} if it is no regular file; a system error if it can't be read.
 */
export function readPlainFile(path: string): string {
  const stats = statSync(path)
  const what =
    (stats.isDirectory() && 'a directory') ||
    (stats.isFIFO() && 'a FIFO') ||
    (stats.isSocket() && 'a socket') ||
    (!stats.isFile() && stats.rdev !== statSync('/dev/null').rdev && 'a device')
  if (what) throw new NotAFileError(`it is ${what}, not a regular file: ${path}`)
  return readFileSync(path, 'utf8')
}

/**
 * Whether a path names what this process has open already: its standard input, or what a shell opens for `<(…)`. It may be a pipe,
 * which can be read once.
 */
export function isOpenAlready(path: string): boolean {
  return /^\/(?:dev\/(?:stdin|fd\/\d+)|proc\/self\/fd\/\d+)$/.test(resolve(path))
}
