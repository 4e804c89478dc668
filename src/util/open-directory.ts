import { statSync } from 'node:fs'

/** Whether anybody can exchange what lies in a directory: it is for all to write to, and not sticky as /tmp is. */
export function isOpenToAll(directory: string): boolean {
  return (statSync(directory).mode & 0o1002) === 0o002
}
