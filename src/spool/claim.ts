import { existsSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import type { GcRoots } from '../nix/gc-roots.ts'
import { codeOf } from '../util/user-error.ts'
import { isSettled, type Job, startAfresh } from './job.ts'
import { NotAJobError } from './job-file.ts'
import type { Spool } from './layout.ts'
import { type JobFile, mayBeJob, readJobFile } from './read.ts'
import { unlessStuck } from './stuck.ts'
import { exists, freeName, identityOf, renameIfThere, unlinkIfThere, versionOf } from './write.ts'

/** A job that lies in `cur/` and is this process's to deliver. */
export interface ClaimedJob {
  readonly name: string
  job: Job
  /** Which file it is, by `identityOf`: another job may come by its name, and must not be taken for it. */
  identity?: string | undefined
}

/** A file that was written to within this time may be half written. */
export const SETTLING_MS = 3_000

/** The result of a look at an entry of `new/`. */
export type Look =
  | {
      kind: 'claimed'
      claimed: ClaimedJob
      /** Its paths that had no GC roots before; a running garbage collection doesn't know of these. */
      newlyRooted: readonly string[]
      rootsError?: unknown
    }
  /** Not wanted now, or no job (a dotfile): it stays where it is. */
  | { kind: 'left' }
  /** Moved away by somebody before we came. */
  | { kind: 'gone' }
  | {
      kind: 'invalid'
      reason: string
      /** It may be half written: it is worth another look before it is judged. */
      isFresh: boolean
    }

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
    file = readJobFile(`${spool.new}/${name}`, storeDir)
  } catch (error) {
    if (!(error instanceof NotAJobError)) throw error
    return { kind: 'invalid', reason: error.message, isFresh: isFresh(`${spool.new}/${name}`) }
  }
  if (!file) return { kind: 'gone' }
  const job = isSettled(file.job) ? startAfresh(file.job, new Date()) : file.job
  if (!wants(job)) return { kind: 'left' }
  // Jobs put here by hand, and requeued ones, have no roots yet. If a job's roots can't be made, it is delivered
  // anyway: the upload is the better protection.
  const target = freeName(spool.cur, name)
  const { newlyRooted, rootsError } = tryToHold(roots, target, rootedPaths(job))
  if (!renameIfThere(`${spool.new}/${name}`, `${spool.cur}/${target}`)) return { kind: 'gone' }
  dropStaleNote(spool, name)
  return {
    kind: 'claimed',
    claimed: { name: target, job, identity: identityAfterMove(file, `${spool.cur}/${target}`) },
    newlyRooted,
    ...(rootsError === undefined ? {} : { rootsError }),
  }
}

function tryToHold(
  roots: GcRoots,
  name: string,
  paths: readonly string[],
): { newlyRooted: readonly string[]; rootsError?: unknown } {
  try {
    return { newlyRooted: roots.hold(name, paths) }
  } catch (error) {
    return { newlyRooted: [], rootsError: error }
  }
}

/** Whether somebody may still be writing the file. Only regular files can be half written. */
function isFresh(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  // Also where the clock was set back since.
  return stats?.isFile() === true && Math.abs(Date.now() - stats.mtimeMs) < SETTLING_MS
}

/** The identity in `cur/` of the file that was read. If it was written to since, the identity differs and isn't found there. */
function identityAfterMove({ identity, version }: JobFile, path: string): string | undefined {
  if (identity !== undefined) return identity
  return versionOf(path) === version ? identityOf(path) : version
}

/** The paths whose garbage collection would make the job undeliverable. */
export function rootedPaths(job: { outPaths: string[]; drvPath?: string }): string[] {
  return job.outPaths.length > 0 || job.drvPath === undefined ? job.outPaths : [job.drvPath]
}

/** A rejected file that was mended and moved back to `new/` leaves its note in `failed/`. A stuck note stays. */
function dropStaleNote(spool: Spool, name: string): void {
  const note = `${spool.failed}/${name}.reason`
  if (!existsSync(note) || exists(`${spool.failed}/${name}`)) return
  unlessStuck(
    note,
    () => unlinkIfThere(note),
    () => undefined,
  )
}

/**
 * `mv failed/* new/` moves the notes too; they go back to `failed/`, where they are read. If the file was rejected again before
 * its note was looked at, there is a newer note, and this one is not needed.
 */
function returnNote(spool: Spool, name: string): void {
  const note = `${spool.new}/${name}`
  try {
    if (exists(`${spool.failed}/${name}`)) unlinkSync(note)
    else renameSync(note, `${spool.failed}/${name}`)
  } catch (error) {
    // EISDIR: a directory of that name is no note of ours, so it stays.
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'EISDIR') throw error
  }
}
