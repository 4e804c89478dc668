import { statSync } from 'node:fs'

/** Whether any user can replace the files in a directory: all may write to it, and it isn't sticky as /tmp is. */
export function isOpenToAll(directory: string): boolean {
  return (statSync(directory).mode & 0o1002) === 0o002
}
