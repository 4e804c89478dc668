import { lstatSync } from 'node:fs'

/** Whether there is something at a path that is no file, no directory and no symlink. */
export function isOddFile(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && !(stats.isFile() || stats.isDirectory() || stats.isSymbolicLink())
}
