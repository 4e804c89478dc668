import { existsSync, renameSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { GcRoots } from '../nix/gc-roots.ts'
import { codeOf } from '../util/user-error.ts'
import { isSettled, type Job, NotAJobError, startAfresh } from './job.ts'
import type { Spool } from './layout.ts'
import { type JobFile, mayBeJob, readJobFile } from './read.ts'
import { exists, freeName, identityOf, renameIfThere, unlinkIfThere } from './write.ts'

/** A job that lies in `cur/` and is this process's to deliver. */
export interface ClaimedJob {
  readonly name: string
  job: Job
  /** Which file it is, by `identityOf`: another job may come by its name, and must not be taken for it. */
  identity?: string | undefined
}

/** What became of a look at an entry of `new/`. */
export type Look =
  | { kind: 'claimed'; claimed: ClaimedJob; rootsError?: unknown }
  /** Not wanted now, or no job (a dotfile): it stays where it is. */
  | { kind: 'left' }
  /** Moved away by somebody before we came. */
  | { kind: 'gone' }
  | { kind: 'invalid'; reason: string }

/**
 * Looks at an entry of `new/` and claims it if it is wanted (docs/SPOOL.md, T2): one rename, which has one winner.
 * @param wants Whether somebody has work to do for it now.
 * @throws A system error that is not the job's fault (EMFILE, EIO): the job stays where it is.
 */
export function claim(
  spool: Spool,
  roots: GcRoots,
  storeDir: string,
  name: string,
  wants: (job: Job) => boolean,
): Look {
  if (!mayBeJob(name)) {
    if (name.endsWith('.reason')) returnNote(spool, name)
    return { kind: 'left' }
  }
  let file: JobFile | undefined
  try {
    file = readJobFile(join(spool.new, name), storeDir)
  } catch (error) {
    if (error instanceof NotAJobError) return { kind: 'invalid', reason: error.message }
    throw error
  }
  if (!file) return { kind: 'gone' }
  const job = isSettled(file.job) ? startAfresh(file.job, new Date()) : file.job
  if (!wants(job)) return { kind: 'left' }
  // Jobs put here by hand, and requeued ones, have no roots yet. A job whose roots can't be made is delivered
  // all the same: the upload is the better protection.
  const target = freeName(spool.cur, name)
  const rootsError = tryToHold(roots, target, rootedPaths(job))
  if (!renameIfThere(join(spool.new, name), join(spool.cur, target))) return { kind: 'gone' }
  dropStaleNote(spool, name)
  return {
    kind: 'claimed',
    claimed: { name: target, job, identity: file.identity ?? identityOf(join(spool.cur, target)) },
    ...(rootsError === undefined ? {} : { rootsError }),
  }
}

function tryToHold(roots: GcRoots, name: string, paths: readonly string[]): unknown {
  try {
    roots.hold(name, paths)
    return undefined
  } catch (error) {
    return error
  }
}

/** The paths whose garbage collection would make the job undeliverable. */
export function rootedPaths(job: { outPaths: string[]; drvPath?: string }): string[] {
  return job.outPaths.length > 0 || job.drvPath === undefined ? job.outPaths : [job.drvPath]
}

/** A mended file that was rejected before leaves its note behind when it is moved back to `new/`. */
function dropStaleNote(spool: Spool, name: string): void {
  const note = join(spool.failed, `${name}.reason`)
  if (existsSync(note) && !exists(join(spool.failed, name))) unlinkIfThere(note)
}

/**
 * `mv failed/* new/` takes the notes along; they go back to where they are read. Where the file was looked at before
 * its note and rejected again, a newer note is there by now, and this one is of no use.
 */
function returnNote(spool: Spool, name: string): void {
  const note = join(spool.new, name)
  try {
    if (exists(join(spool.failed, name))) unlinkSync(note)
    else renameSync(note, join(spool.failed, name))
  } catch (error) {
    // EISDIR: a directory of that name is no note of ours, so it stays.
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EISDIR') throw error
  }
}
