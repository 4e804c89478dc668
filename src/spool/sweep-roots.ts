import { type GcRoots, rootKey } from '../nix/gc-roots.ts'
import type { Spool } from './layout.ts'
import { entriesOf } from './read.ts'
import { ABANDONED_MS } from './sweep.ts'
import { unhurried } from './unhurried.ts'
import { originalName, unlinkIfThere } from './write.ts'

/** So many roots are looked at together, some 20 MB: each time, all jobs are listed. */
const AT_ONCE = 100_000

/** Roots by what they are named after. */
type Candidates = Map<string, { path: string; ageMs: number }[]>

/**
 * Removes GC roots whose job needs them no longer, or never came to be (docs/SPOOL.md, T11).
 * @returns How many.
 */
export async function sweepRoots(spool: Spool, roots: GcRoots): Promise<number> {
  let removed = 0
  let count = 0
  let candidates: Candidates = new Map()
  for await (const { key, path, ageMs } of unhurried(roots.entries())) {
    candidates.set(key, [...(candidates.get(key) ?? []), { path, ageMs }])
    if (++count % AT_ONCE > 0) continue
    removed += await sweepThese(spool, candidates)
    candidates = new Map()
  }
  return removed + (await sweepThese(spool, candidates))
}

async function sweepThese(spool: Spool, candidates: Candidates): Promise<number> {
  // new/ twice: a job that is requeued meanwhile goes from where we come to later to where we have been.
  for (const directory of [spool.new, spool.cur, spool.failed, spool.new])
    for await (const key of keysIn(directory, candidates)) candidates.delete(key)
  const done = new Set<string>()
  for await (const key of keysIn(spool.done, candidates)) done.add(key)
  let removed = 0
  for (const [key, found] of candidates)
    for (const { path, ageMs } of found)
      if ((ageMs > ABANDONED_MS || done.has(key)) && unlinkIfThere(path)) removed++
  return removed
}

/** Which of the roots' keys are those of jobs in a directory. */
async function* keysIn(directory: string, candidates: Candidates): AsyncGenerator<string> {
  if (candidates.size === 0) return
  for await (const { name } of unhurried(entriesOf(directory))) {
    const key = rootKey(name)
    if (candidates.has(key)) yield key
    // A job that was given back where its name was taken by then waits as `X~1`, with its roots under its old name.
    const original = originalName(key)
    if (original !== key && candidates.has(original)) yield original
  }
}
