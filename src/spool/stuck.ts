import { codeOf } from '../util/user-error.ts'

/** Errors that don't belong to a single file: no handles, memory or space left, or the disk remounted read-only. */
const NOT_THE_FILES = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOSPC', 'EDQUOT', 'EROFS'])

/** True for a system error of one file alone: it is immutable, a mount point, another user's, or on a bad sector. */
export function isStuck(error: unknown): boolean {
  const code = codeOf(error)
  return code !== undefined && !NOT_THE_FILES.has(code)
}

/** Something that can't be moved, removed or read, and why. */
export interface Stuck {
  name: string
  error: unknown
}

/**
 * Does something to a file, which may be stuck.
 * @param onStuck Called with it.
 * @returns Undefined if it is stuck.
 * @throws Any other error.
 */
export function unlessStuck<T>(name: string, act: () => T, onStuck: (stuck: Stuck) => void): T | undefined {
  try {
    return act()
  } catch (error) {
    if (!isStuck(error)) throw error
    onStuck({ name, error })
    return undefined
  }
}
