import { closeSync, openSync } from 'node:fs'
import type { Spool } from './layout.ts'
import { exists, unlinkIfThere } from './write.ts'

/** True while nothing is to be claimed. */
export function isPaused(spool: Spool): boolean {
  return exists(spool.pausedFile)
}

/** Stops claiming, as `touch paused` does; doing it twice is no error. */
export function pause(spool: Spool): void {
  closeSync(openSync(spool.pausedFile, 'a'))
}

/** Goes on, as `rm paused` does. Returns false where it wasn't paused. */
export function resume(spool: Spool): boolean {
  return unlinkIfThere(spool.pausedFile)
}
