import { lstatSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { codeOf, remedyFor, UserError, wordsOf } from '../util/user-error.ts'

/** The four states a job can be in: the directory it lies in. */
export const STATES = ['new', 'cur', 'done', 'failed'] as const
export type State = (typeof STATES)[number]

/** Where everything in a spool lies. */
export interface Spool {
  root: string
  tmp: string
  new: string
  cur: string
  done: string
  failed: string
  /** What the daemon last said of itself; derived. */
  reportFile: string
  lockDir: string
}

/** The paths of a spool; touches nothing. */
export function spoolAt(root: string): Spool {
  return {
    root,
    tmp: join(root, 'tmp'),
    new: join(root, 'new'),
    cur: join(root, 'cur'),
    done: join(root, 'done'),
    failed: join(root, 'failed'),
    reportFile: join(root, 'daemon.json'),
    lockDir: join(root, 'daemon.lock'),
  }
}

/**
 * Opens a spool for a command that needs its directories, making them where they are missing.
 * @throws {UserError} if they can't be made, are not directories, or lie on different filesystems.
 */
export function openSpool(root: string): Spool {
  const spool = spoolAt(root)
  // The spool's root may be a symlink. Nothing in it may be one, or a rename could leave the spool.
  makeDirectory(root, statSync)
  for (const name of ['tmp', ...STATES] as const) makeDirectory(spool[name], lstatSync)
  const device = lstatSync(spool.tmp).dev
  for (const name of STATES) {
    if (lstatSync(spool[name]).dev !== device) {
      throw new UserError(
        `the spool's directories must lie on one filesystem, for a rename between them to be atomic; ` +
          `${spool[name]} and ${spool.tmp} do not`,
      )
    }
  }
  return spool
}

/**
 * Makes directories of a spool again that somebody removed. If all are missing, its disk may not be mounted, so none is made.
 * @returns The names of those that were made.
 * @throws {UserError} if they can't be made.
 */
export function restoreDirectories(spool: Spool): string[] {
  const all = ['tmp', ...STATES] as const
  const missing = all.filter((name) => !lstatSync(spool[name], { throwIfNoEntry: false }))
  if (missing.length === 0 || missing.length === all.length) return []
  openSpool(spool.root)
  return missing
}

/**
 * Opens a spool for a command that only looks or moves what is there.
 * @throws {UserError} if there is none, or a part of it is missing.
 */
export function existingSpool(root: string): Spool {
  const spool = spoolIfThere(root)
  if (spool) return spool
  throw new UserError(`there is no spool at ${root}; ${MAKE_IT}`)
}

/**
 * Opens a spool for a command that only looks.
 * @returns undefined if there is none yet.
 * @throws {UserError} if a part of it is missing.
 */
export function spoolIfThere(root: string): Spool | undefined {
  const spool = spoolAt(root)
  const missing = STATES.filter((state) => !lstatSync(spool[state], { throwIfNoEntry: false })?.isDirectory())
  const [first] = missing
  if (first === undefined) return spool
  if (missing.length === STATES.length) return undefined
  throw new UserError(`${spool[first]} is missing; ${MAKE_IT}`)
}

/** What to do where there is no spool. */
export const MAKE_IT = '`nix-upload init` makes it, and so do `watch` and `enqueue`'

function makeDirectory(path: string, look: (path: string) => { isDirectory(): boolean }): void {
  try {
    // With any umask, nobody else may write to it.
    mkdirSync(path, 0o755)
  } catch (error) {
    if (codeOf(error) === 'EEXIST' || codeOf(error) === 'EROFS') {
      if (look(path).isDirectory()) return
      throw new UserError(`${path} is in the way: the spool needs a directory there`)
    }
    if (codeOf(error) === 'ENOENT') {
      throw new UserError(`can't make the spool directory ${path}: ${dirname(path)} does not exist`)
    }
    throw new UserError(`can't make the spool directory ${path}: ${wordsOf(error)}${remedyFor(error)}`)
  }
}
