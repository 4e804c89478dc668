import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { type GcRoots, rootKey } from '../nix/gc-roots.ts'
import { fingerprint } from './fingerprint.ts'
import type { Spool } from './layout.ts'
import { entriesOf } from './read.ts'
import { ABANDONED_MS } from './sweep.ts'
import { unhurried } from './unhurried.ts'
import { exists, originalName, unlinkIfThere } from './write.ts'

/**
 * Removes GC roots whose job needs them no longer, or never came to be (docs/SPOOL.md, T11). The roots are listed twice,
 * so that only what stands for each needs to be in memory: 50 MB for a million. Should a job have the same fingerprint as
 * another's root, that root stays for as long as the job.
 * @returns How many.
 */
export async function sweepRoots(spool: Spool, roots: GcRoots): Promise<number> {
  const jobless = new Set<number>()
  await unhurried(roots.entries(), ({ key }) => jobless.add(fingerprint(key)))
  // new/ twice: a job that is requeued meanwhile goes from where we come to later to where we have been.
  for (const directory of [spool.new, spool.cur, spool.failed, spool.new])
    await jobsAmong(jobless, directory, (print) => jobless.delete(print))
  const done = new Map<number, string>()
  await jobsAmong(jobless, spool.done, (print, name) => done.set(print, name))
  if (jobless.size === 0) return 0
  let removed = 0
  await unhurried(roots.entries(), ({ key, path }) => {
    const print = fingerprint(key)
    if (!jobless.has(print)) return
    const job = done.get(print)
    // What was done when it was looked for may be requeued and claimed by now.
    const isUnneeded = job === undefined ? isAbandoned(path) : exists(join(spool.done, job))
    if (isUnneeded && unlinkIfThere(path)) removed++
  })
  return removed
}

/** Tells of the jobs in a directory whose roots are among those. */
async function jobsAmong(
  prints: ReadonlySet<number>,
  directory: string,
  tell: (print: number, name: string) => void,
): Promise<void> {
  if (prints.size === 0) return
  await unhurried(entriesOf(directory), ({ name }) => {
    const key = rootKey(name)
    // A job that was given back where its name was taken by then waits as `X~1`, with its roots under its old name.
    const keys = key.includes('~') ? [key, originalName(key)] : [key]
    for (const print of keys.map(fingerprint)) if (prints.has(print)) tell(print, name)
  })
}

/** To look at a million files that are not in memory takes minutes, so it is done where it matters only. */
function isAbandoned(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Date.now() - stats.mtimeMs > ABANDONED_MS
}
