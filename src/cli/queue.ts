import type { GcRoots } from '../nix/gc-roots.ts'
import { rootedPaths } from '../spool/claim.ts'
import {
  type HandedOver,
  handOverPrepared,
  type NewJob,
  prepareJobs,
  withoutGone,
} from '../spool/hand-over.ts'
import type { Spool } from '../spool/layout.ts'
import { EXIT } from '../util/user-error.ts'
import { asOwner } from './owner.ts'
import { printable, say } from './print.ts'
import { tryToTell } from './tell-collector.ts'

/** Callers pass this many jobs at a time: Nix is told of them, and the directories are synced, once for all. */
export const AT_ONCE = 500

/**
 * Queues jobs by hand. First it tells a running garbage collection of their paths. A job with a path that is gone is not
 * queued: this is reported, and the command fails.
 */
export async function queue(spool: Spool, roots: GcRoots, jobs: readonly NewJob[]): Promise<HandedOver> {
  const prepared = asOwner(spool.root, () => prepareJobs(roots, jobs))
  const gone = await tryToTell(jobs.flatMap(rootedPaths))
  sayGone(gone, 'not queued')
  return asOwner(spool.root, () => {
    const left = withoutGone(roots, prepared, gone)
    const nothing = { names: [], ...(left.rootsError === undefined ? {} : { rootsError: left.rootsError }) }
    return left.jobs.length === 0 ? nothing : handOverPrepared(spool, roots, left)
  })
}

/**
 * Reports each path that is gone; the command fails.
 * @param what What that means for the job.
 * @param remedy What to do, to be appended.
 */
export function sayGone(paths: Iterable<string>, what: string, remedy = ''): void {
  for (const path of paths) {
    say(`nix-upload: ${what}: ${printable(path)} is not in the store${remedy}`)
    process.exitCode = EXIT.failed
  }
}
