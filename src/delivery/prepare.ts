import type { Logger } from 'pino'
import type { Destination } from '../config/config.ts'
import { verdictOf } from '../nix/blame.ts'
import { NixFailure } from '../nix/failure.ts'
import type { FloatingOutputs } from '../nix/floating-outputs.ts'
import { outputsOf } from '../nix/local-store.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { StoreSession } from '../nix/store-session.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Verdict } from '../util/verdict.ts'
import type { Outcome } from './outcome.ts'
import { type Unwanted, unwanted } from './policy.ts'
import { floatingIn } from './realisations.ts'
import type { Uploader } from './uploader.ts'

/** A job in a batch, and those of its paths that go to this destination. */
export interface Item {
  claimed: ClaimedJob
  paths: readonly string[]
  note?: string
  /** What built them: as the job says, or as the store does if a person queued the paths. */
  drvPaths: readonly string[]
  /** Those of its paths whose derivation is known only from their realisations. */
  floating: readonly FloatingOutputs[]
}

/** An error names at most this many paths that are gone. */
const PATHS_NAMED = 5
/** A note names at most this many paths that a policy leaves out. */
const NOTES_AT_MOST = 50

/** The destination, and the sources of information about paths. */
export interface Target {
  destination: Destination
  uploader: Uploader
  store: StoreSession
  /** Whether anything ever went there. */
  wasThere: () => boolean
  /** Called when the outputs of a job that names none were looked up. */
  onOutputs: (claimed: ClaimedJob) => void
  /** For bugs only: everything else is in the outcomes. */
  log: Logger
}

interface Sorting {
  target: Target
  signal: AbortSignal
  outcomes: Map<ClaimedJob, Outcome>
}

/**
 * Finds out which jobs can be sent, and which of their paths: looks outputs up, and leaves out paths that are gone or that
 * the destination doesn't want.
 * @param outcomes Gets the outcome of each job that has nothing to send.
 * @returns The jobs and paths to send.
 */
export async function prepare(
  jobs: readonly ClaimedJob[],
  target: Target,
  signal: AbortSignal,
  outcomes: Map<ClaimedJob, Outcome>,
): Promise<Item[]> {
  const sorting: Sorting = { target, signal, outcomes }
  await resolveOutputs(sorting, jobs)
  const known = jobs.filter((job) => !outcomes.has(job))
  if (known.length === 0) return []
  const objects = await target.store.objects(outPathsOf(known), signal)
  const valid = new Map(objects.map((object) => [object.path, object]))
  const reasons = unwanted(target.destination, objects)
  const items = applyPolicy(takeOutInvalid(sorting, known, valid), sorting, reasons)
  return items.map((item) => ({
    ...item,
    drvPaths: drvPathsOf(item, valid),
    floating: floatingIn(item.claimed.job.drvPath, item.paths, valid),
  }))
}

function drvPathsOf(
  { claimed, paths }: Pick<Item, 'claimed' | 'paths'>,
  valid: ReadonlyMap<string, StoreObject>,
): string[] {
  const { drvPath } = claimed.job
  if (drvPath !== undefined) return [drvPath]
  return [...new Set(paths.flatMap((path) => valid.get(path)?.deriver ?? []))]
}

/** A hook that was given no OUT_PATHS (Nix 2.8) and could not look them up names the derivation only. */
async function resolveOutputs(sorting: Sorting, jobs: readonly ClaimedJob[]): Promise<void> {
  for (const claimed of jobs) {
    const { outPaths: known, drvPath } = claimed.job
    if (known.length > 0 || drvPath === undefined) continue
    try {
      const outPaths = await outputsOf(drvPath, sorting.signal)
      // Another destination may have said something of the job meanwhile.
      claimed.job = { ...claimed.job, outPaths }
      sorting.target.onOutputs(claimed)
    } catch (error) {
      if (!(error instanceof NixFailure) || error.ended) throw error
      sorting.outcomes.set(claimed, { kind: 'failed', verdict: outputsUnknown(drvPath, error) })
    }
  }
}

function outputsUnknown(drvPath: string, error: NixFailure): Verdict {
  const { blame, permanent } = verdictOf(error)
  const message = `the job names no outputs, and Nix can't look them up from ${drvPath}: ${error.message}`
  return { blame: blame === 'destination' ? 'unknown' : blame, permanent, message }
}

/** A path that isn't valid (in the store, whatever is on the disk) fails the jobs that name it, for good. */
function takeOutInvalid(
  { outcomes }: Sorting,
  jobs: readonly ClaimedJob[],
  valid: ReadonlyMap<string, StoreObject>,
): ClaimedJob[] {
  return jobs.filter((claimed) => {
    const gone = claimed.job.outPaths.filter((path) => !valid.has(path))
    if (gone.length === 0) return true
    const more = gone.length > PATHS_NAMED ? ` and ${gone.length - PATHS_NAMED} more` : ''
    const message = `not in the local store (garbage-collected before it was uploaded, or built into another store with --store): ${gone.slice(0, PATHS_NAMED).join(' ')}${more}`
    outcomes.set(claimed, { kind: 'failed', verdict: { blame: 'job', permanent: true, message } })
    return false
  })
}

function applyPolicy(
  jobs: readonly ClaimedJob[],
  { outcomes }: Sorting,
  reasons: Unwanted,
): Omit<Item, 'floating' | 'drvPaths'>[] {
  return jobs.flatMap((claimed) => {
    const { outPaths } = claimed.job
    const wanted = outPaths.filter((path) => !reasons.has(path))
    const note = noteOf(outPaths, reasons)
    if (wanted.length > 0) return [{ claimed, paths: wanted, ...(note === undefined ? {} : { note }) }]
    outcomes.set(claimed, { kind: 'skipped', reason: note ?? 'the derivation has no outputs' })
    return []
  })
}

function noteOf(paths: readonly string[], reasons: Unwanted): string | undefined {
  const left = paths.flatMap((path) => (reasons.has(path) ? [`${path}: ${reasons.get(path)}`] : []))
  const more = left.length > NOTES_AT_MOST ? `; and ${left.length - NOTES_AT_MOST} more` : ''
  return left.length === 0 ? undefined : `not uploaded, ${left.slice(0, NOTES_AT_MOST).join('; ')}${more}`
}

function outPathsOf(jobs: readonly ClaimedJob[]): string[] {
  return [...new Set(jobs.flatMap(({ job }) => job.outPaths))]
}

/** The store paths of several items, each once. */
export function pathsOf(items: readonly Item[]): string[] {
  return [...new Set(items.flatMap(({ paths }) => paths))]
}
