import { renameSync, unlinkSync } from 'node:fs'
import type { GcRoots } from '../nix/gc-roots.ts'
import { printable } from '../util/printable.ts'
import { syncPath } from '../util/sync.ts'
import { codeOf } from '../util/user-error.ts'
import { type ClaimedJob, rootedPaths } from './claim.ts'
import { formatJob } from './job-file.ts'
import type { Spool, State } from './layout.ts'
import {
  exists,
  freeName,
  fsyncDirectory,
  identityOf,
  moveJob,
  placeTemporary,
  unlinkIfThere,
  writeTemporaries,
  writeTemporary,
} from './write.ts'

/**
 * Notes in a claimed job what happened to it so far (docs/SPOOL.md, T3).
 * @returns False if somebody moved the job away.
 */
export function record(spool: Spool, claimed: ClaimedJob): boolean {
  const path = `${spool.cur}/${claimed.name}`
  // The new bytes are synced before they replace the only copy of a job that has not been delivered.
  const temporary = writeTemporary(spool, formatJob(claimed.job), true)
  const identity = identityOf(temporary)
  // A person's mv that comes between these two leaves a second copy (docs/SPOOL.md, rule 2).
  if (!isThere(spool, claimed)) {
    unlinkSync(temporary)
    return false
  }
  placeTemporary(temporary, path)
  claimed.identity = identity
  return true
}

/** True while the job lies in `cur/`: that very file, not another one that came by its name since. */
function isThere(spool: Spool, claimed: ClaimedJob): boolean {
  const identity = identityOf(`${spool.cur}/${claimed.name}`)
  return identity !== undefined && (claimed.identity === undefined || claimed.identity === identity)
}

/** A job's file with its delivery record, in `tmp/`; undefined if the disk doesn't take it. */
export interface WrittenRecord {
  temporary: string | undefined
}

/**
 * Writes the files of delivered jobs with their delivery records into `tmp/`, and syncs all of them side by side (T4a, T4b):
 * together they cost the disk little more than one does.
 */
export async function writeRecords(
  spool: Spool,
  jobs: readonly ClaimedJob[],
): Promise<ReadonlyMap<ClaimedJob, WrittenRecord>> {
  const written = await writeTemporaries(
    spool,
    jobs.map(({ job }) => formatJob(job)),
  )
  return new Map(jobs.map((claimed, at) => [claimed, recordOf(written[at])]))
}

/** If the disk fails, as in `tryToWrite`. */
function recordOf(written: { path: string } | { error: unknown } | undefined): WrittenRecord {
  if (written && 'path' in written) return { temporary: written.path }
  if (codeOf(written?.error) === undefined) throw written?.error
  return { temporary: undefined }
}

/**
 * Moves a delivered job to `done/` and puts its delivery record there (T4). It keeps its GC roots until that is durable:
 * see `releaseDone`.
 * @param record Written before by `writeRecords`, and durable before it replaces the job's durable bytes: otherwise btrfs may
 * lose the job's name, and XFS the bytes.
 * @returns The name it has there, or undefined if somebody moved it away; then nothing is done.
 */
export function settleDone(
  spool: Spool,
  claimed: ClaimedJob,
  record: WrittenRecord = { temporary: tryToWrite(spool, formatJob(claimed.job)) },
): string | undefined {
  const { temporary } = record
  let target: string | undefined
  try {
    if (isThere(spool, claimed)) target = moveJob(`${spool.cur}/${claimed.name}`, claimed.name, spool.done)
  } finally {
    if (target === undefined && temporary !== undefined) unlinkIfThere(temporary)
  }
  if (target !== undefined && temporary !== undefined) placeTemporary(temporary, `${spool.done}/${target}`)
  return target
}

/** A job that was moved to `done/`, and the name that it has there. */
export interface DoneJob {
  claimed: ClaimedJob
  target: string
}

/** Syncs `done/`, once for all jobs that were moved there (T4e). */
export async function syncDone(spool: Spool): Promise<void> {
  await syncPath(spool.done)
}

/**
 * Removes the GC roots of a job that is durably in `done/` (T4f), unless somebody has requeued it, or a copy by its name needs them.
 */
export function releaseDone(spool: Spool, roots: GcRoots, { claimed: { name, job }, target }: DoneJob): void {
  if (roots.directory === undefined || !exists(`${spool.done}/${target}`)) return
  if ([spool.new, spool.cur, spool.failed].some((directory) => exists(`${directory}/${name}`))) return
  roots.release(name, rootedPaths(job))
  if (job.drvPath !== undefined) roots.release(name, [job.drvPath])
}

/** If the disk is full, a delivered job must not stay in the queue: it is done, without its delivery record (C10). */
function tryToWrite(spool: Spool, content: string): string | undefined {
  try {
    return writeTemporary(spool, content, true)
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return undefined
  }
}

/**
 * Moves a job that is given up to `failed/`; its record says why, and it keeps its GC roots (T5).
 * @returns The name it has there, or undefined if somebody moved it away.
 */
export function settleFailed(spool: Spool, claimed: ClaimedJob): string | undefined {
  if (!record(spool, claimed)) return undefined
  const target = moveJob(`${spool.cur}/${claimed.name}`, claimed.name, spool.failed)
  if (target === undefined) return undefined
  // An old note, from before this file was mended, would call a valid job invalid.
  unlinkIfThere(`${spool.failed}/${target}.reason`)
  fsyncDirectory(spool.failed)
  return target
}

/** Gives a claimed job back to `new/` (T7). */
export function release(spool: Spool, name: string): string | undefined {
  return moveJob(`${spool.cur}/${name}`, name, spool.new)
}

/** Moves a settled job back to `new/` (T8). */
export function requeue(spool: Spool, state: State, name: string): string | undefined {
  const target = moveJob(`${spool[state]}/${name}`, name, spool.new)
  if (target !== undefined) fsyncDirectory(spool.new)
  return target
}

/**
 * Moves a file that is no valid job to `failed/` unchanged, with a note beside it (T6).
 * @param reason What is wrong with it, a clause that goes on from "this is no valid job: ".
 */
export function reject(spool: Spool, name: string, reason: string): string | undefined {
  const note =
    `${printable(name)} is no valid job: ${reason}.\n` +
    `It was moved here from new/ as it was found. Mend it and move it back to new/, or delete it.\n`
  const target = freeName(spool.failed, name)
  const temporary = writeTemporary(spool, note, true)
  try {
    renameSync(temporary, `${spool.failed}/${target}.reason`)
  } catch (error) {
    unlinkIfThere(temporary)
    // The name is too long for a note beside it. `list` and `show` say what is wrong with the file.
    if (codeOf(error) !== 'ENAMETOOLONG') throw error
  }
  const moved = moveJob(`${spool.new}/${name}`, target, spool.failed)
  if (moved === undefined) unlinkIfThere(`${spool.failed}/${target}.reason`)
  fsyncDirectory(spool.failed)
  return moved
}
