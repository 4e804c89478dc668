import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../util/user-error.ts'
import type { Spool } from './layout.ts'
import { exists, unlinkIfThere } from './write.ts'

/** The file whose presence pauses everything, or one destination. */
function pauseFile(spool: Spool, destination?: string): string {
  return join(spool.root, destination === undefined ? 'paused' : `paused.${destination}`)
}

/** True for a name in the spool's root that pausing makes. */
export function isPauseFile(name: string): boolean {
  return name === 'paused' || name.startsWith('paused.')
}

/** True while nothing is to be claimed, or nothing for the destination. */
export function isPaused(spool: Spool, destination?: string): boolean {
  return exists(pauseFile(spool, destination))
}

/** Stops claiming, as `touch paused` does; doing it twice is no error. */
export function pause(spool: Spool, destination?: string): void {
  try {
    // Exclusively: an existing file, even a symlink or a FIFO, is not opened.
    closeSync(openSync(pauseFile(spool, destination), 'wx', 0o644))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

/** Goes on, as `rm paused` does. Returns false if it wasn't paused. */
export function resume(spool: Spool, destination?: string): boolean {
  return unlinkIfThere(pauseFile(spool, destination))
}
