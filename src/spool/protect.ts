import type { GcRoots } from '../nix/gc-roots.ts'
import { rootedPaths } from './claim.ts'
import { NotAJobError } from './job-file.ts'
import type { Spool, State } from './layout.ts'
import { mayBeJob, readJob } from './read.ts'
import { freeName } from './write.ts'

/**
 * Makes the GC roots that a job lacks, under its present name (docs/SPOOL.md, T12). A missing file or an invalid job needs none.
 * @returns The paths that had none.
 * @throws A system error if the job can't be read or the roots can't be made.
 */
export function protect(
  spool: Spool,
  roots: GcRoots,
  storeDir: string,
  state: State,
  name: string,
): string[] {
  if (!mayBeJob(name)) return []
  return roots.hold(name, pathsOf(`${spool[state]}/${name}`, storeDir))
}

/** A settled job that has the roots that it needs in `new/`. */
export interface Protected {
  state: State
  name: string
  /** What it will be called in `new/`. */
  target: string
  /** The paths that it needs; none if it is no valid job, which the daemon will report. */
  paths: string[]
  /** Those of them that had no root before. */
  newlyRooted: string[]
  /** Why the roots could not be made. */
  rootsError?: unknown
}

/** Makes the roots of a job that is about to be moved to `new/` (T8). */
export function protectNext(
  spool: Spool,
  roots: GcRoots,
  storeDir: string,
  state: State,
  name: string,
): Protected {
  const target = freeName(spool.new, name)
  const paths = pathsOf(`${spool[state]}/${name}`, storeDir)
  try {
    return { state, name, target, paths, newlyRooted: roots.hold(target, paths) }
  } catch (rootsError) {
    return { state, name, target, paths, newlyRooted: [], rootsError }
  }
}

function pathsOf(path: string, storeDir: string): string[] {
  try {
    const job = readJob(path, storeDir)
    return job ? rootedPaths(job) : []
  } catch (error) {
    if (error instanceof NotAJobError) return []
    throw error
  }
}
