import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { forEachUnhurried } from '../util/steps.ts'
import type { Spool } from './layout.ts'
import { entriesOf } from './read.ts'
import { type Stuck, unlessStuck } from './stuck.ts'
import { unlinkIfThere } from './write.ts'

/** Nobody takes that long to write a job: maildir(5) and qmail use the same 36 hours. */
export const ABANDONED_MS = 36 * 3600 * 1000

/** How long and how many delivered jobs are kept in `done/`. */
export interface Retention {
  ageMs: number
  count: number
}

/** Deletes abandoned files in `tmp/` (docs/SPOOL.md, T10). Returns how many. */
export async function sweepTemporaries(
  spool: Spool,
  now = Date.now(),
  onStuck: (stuck: Stuck) => void = () => undefined,
): Promise<number> {
  let deleted = 0
  await forEachUnhurried(agesOf(spool.tmp), ({ path, mtimeMs }) => {
    if (now - mtimeMs <= ABANDONED_MS) return
    if (unlessStuck(path, () => unlinkIfThere(path), onStuck)) deleted++
  })
  return deleted
}

/**
 * Deletes jobs from `done/` that are too old or, oldest first, too many (T9). Two passes over the directory in
 * memory that doesn't grow with it: the first counts jobs by the minute they were done in, the second deletes.
 * @returns How many were deleted.
 */
export async function prune(
  spool: Spool,
  retention: Retention,
  now = Date.now(),
  onStuck: (stuck: Stuck) => void = () => undefined,
): Promise<number> {
  const oldest = now - retention.ageMs
  const perMinute = new Map<number, number>()
  let kept = 0
  await forEachUnhurried(agesOf(spool.done), ({ mtimeMs }) => {
    if (mtimeMs < oldest) return
    kept++
    perMinute.set(minuteOf(mtimeMs), (perMinute.get(minuteOf(mtimeMs)) ?? 0) + 1)
  })
  const toDelete = oldestMinutes(perMinute, kept - retention.count)
  let deleted = 0
  await forEachUnhurried(agesOf(spool.done), ({ path, mtimeMs }) => {
    const left = toDelete.get(minuteOf(mtimeMs)) ?? 0
    if (mtimeMs >= oldest && left === 0) return
    if (mtimeMs >= oldest) toDelete.set(minuteOf(mtimeMs), left - 1)
    if (unlessStuck(path, () => unlinkIfThere(path), onStuck)) deleted++
  })
  return deleted
}

/** How many to delete of each minute, to delete `surplus` of the oldest. */
function oldestMinutes(perMinute: ReadonlyMap<number, number>, surplus: number): Map<number, number> {
  const chosen = new Map<number, number>()
  let left = surplus
  for (const [minute, count] of [...perMinute].sort(([a], [b]) => a - b)) {
    if (left <= 0) break
    chosen.set(minute, Math.min(count, left))
    left -= count
  }
  return chosen
}

function minuteOf(mtimeMs: number): number {
  return Math.floor(mtimeMs / 60_000)
}

function* agesOf(directory: string): Generator<{ path: string; mtimeMs: number }> {
  for (const entry of entriesOf(directory)) {
    if (entry.isDirectory() || entry.name.startsWith('.')) continue
    const path = join(directory, entry.name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats) yield { path, mtimeMs: stats.mtimeMs }
  }
}
