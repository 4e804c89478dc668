import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { type GcRoots, rootKey } from '../nix/gc-roots.ts'
import { forEachUnhurried } from '../util/steps.ts'
import { fingerprint } from './fingerprint.ts'
import type { Spool, State } from './layout.ts'
import { entriesOf, mayBeJob } from './read.ts'
import { syncDone } from './settle.ts'
import { type Stuck, unlessStuck } from './stuck.ts'
import { ABANDONED_MS } from './sweep.ts'
import { exists, originalName, unlinkIfThere } from './write.ts'

/** What happens to jobs without roots, and to roots that can't be removed. */
interface SweepRootsOptions {
  /** Called for each job that has no roots under its name (docs/SPOOL.md, T12). */
  onUnprotected?: ((state: State, job: string) => void) | undefined
  onStuck?: ((stuck: Stuck) => void) | undefined
}

/** A job in any of these needs its roots. */
const ROOTED = ['new', 'cur', 'failed'] as const

/**
 * Removes GC roots whose job no longer needs them, or was never handed over (docs/SPOOL.md, T11), and finds the jobs without
 * roots. The roots are listed twice, so that only their fingerprints need to be in memory: 50 MB for a million. If a
 * job happens to have the same fingerprint as another job's root, that root stays as long as the job.
 * @returns How many were removed.
 */
export async function sweepRoots(
  spool: Spool,
  roots: GcRoots,
  { onUnprotected, onStuck = () => undefined }: SweepRootsOptions = {},
): Promise<number> {
  if (roots.directory === undefined) return 0
  const prints = new Prints()
  await forEachUnhurried(roots.entries(), ({ key }) => prints.add(fingerprint(key)))
  for (const state of ROOTED) await strikeOut(prints, spool, state, onUnprotected)
  // Once more: a job that was renamed or requeued meanwhile may have moved to a place that was already read.
  if (prints.jobless > 0) for (const state of ROOTED) await strikeOut(prints, spool, state, undefined)
  if (prints.jobless === 0) return 0
  const done = new Map<number, string>()
  await forEachUnhurried(entriesOf(spool.done), ({ name }) => {
    for (const print of printsOf(name)) if (prints.isJobless(print)) done.set(print, name)
  })
  // Roots go only once a power cut can't bring their jobs back.
  if (done.size > 0) await syncDone(spool)
  let removed = 0
  await forEachUnhurried(roots.entries(), ({ key, path }) => {
    const print = fingerprint(key)
    if (!prints.isJobless(print)) return
    const job = done.get(print)
    // A job that was in done/ a moment ago may be requeued and claimed by now.
    const isUnneeded = job === undefined ? isAbandoned(path) : exists(join(spool.done, job))
    if (isUnneeded && unlessStuck(path, () => unlinkIfThere(path), onStuck)) removed++
  })
  return removed
}

/** Fingerprints of roots. Those that have a job are kept as their negatives, so that one set does for both kinds. */
class Prints {
  jobless = 0
  readonly #all = new Set<number>()

  add(print: number): void {
    if (this.#all.has(print)) return
    this.#all.add(print)
    this.jobless++
  }

  isJobless(print: number): boolean {
    return this.#all.has(print)
  }

  /** Notes that the root has a job. Returns false if there is no such root. */
  strikeOut(print: number): boolean {
    if (!this.#all.delete(print)) return this.#all.has(-print)
    this.#all.add(-print)
    this.jobless--
    return true
  }
}

async function strikeOut(
  prints: Prints,
  spool: Spool,
  state: State,
  onUnprotected: SweepRootsOptions['onUnprotected'],
): Promise<void> {
  await forEachUnhurried(entriesOf(spool[state]), ({ name }) => {
    if (!mayBeJob(name)) return
    const [isProtected] = printsOf(name).map((print) => prints.strikeOut(print))
    if (!isProtected) onUnprotected?.(state, name)
  })
}

/**
 * The fingerprints of a job's roots, those under its present name first. A job that was returned to `new/` when its name was taken
 * waits as `X~1`, and has its roots under its old name until it gets its own.
 */
function printsOf(name: string): number[] {
  const key = rootKey(name)
  return (key.includes('~') ? [key, originalName(key)] : [key]).map(fingerprint)
}

/** It takes minutes to look at a million files that are not in memory, so this is called only if needed. */
function isAbandoned(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Date.now() - stats.mtimeMs > ABANDONED_MS
}
