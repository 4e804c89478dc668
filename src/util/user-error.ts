/** Exit codes of every command (sysexits where one fits). */
export const EXIT = { done: 0, failed: 1, usage: 2, tryLater: 75, badConfig: 78 } as const

/** An error that a person can act on: it is printed as one line, without a stack trace. */
export class UserError extends Error {
  readonly exitCode: number

  /**
   * @param message What failed, on which path or job, and what to do.
   * @param exitCode The command's exit code; 1 by default.
   */
  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message)
    this.name = 'UserError'
    this.exitCode = exitCode
  }
}

/** The `code` of a system error such as ENOENT, or undefined for any other error. */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return undefined
}

/** Adds the path to a system error if Node leaves it out, as with `opendir`, `write` and `fsync`. */
export function naming(path: string, error: unknown): unknown {
  return error instanceof Error && !('path' in error) ? Object.assign(error, { path }) : error
}

/**
 * An error in words for a person, on one line.
 * Node says `EACCES: permission denied, open '/x'`; a person wants `permission denied: /x`.
 */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const line = error.message.replaceAll(/\s*\n\s*/g, ' ')
  const [, what] = /^E[A-Z0-9]+: ([^,]+), \w+/.exec(line) ?? []
  if (what === undefined) return line
  const path = 'path' in error ? `: ${error.path}` : ''
  const target = 'dest' in error ? ` to ${error.dest}` : ''
  return `${what}${path}${target}`
}

const REMEDIES: Readonly<Record<string, string>> = {
  EROFS: 'it is mounted read-only',
  ENOSPC: 'make room there, then try again',
  EDQUOT: 'make room there, then try again',
}

/** What to do about a system error, to be appended to its text; empty if that is not known. */
export function remedyFor(error: unknown): string {
  const code = codeOf(error) ?? ''
  // Root's commands act as the spool's owner.
  if (code === 'EACCES' || code === 'EPERM') return process.geteuid?.() === 0 ? '' : '; run it as root'
  return REMEDIES[code] === undefined ? '' : `; ${REMEDIES[code]}`
}
