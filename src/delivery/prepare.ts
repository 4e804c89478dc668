import { judge, type Verdict } from '../nix/blame.ts'
import { NixFailure } from '../nix/failure.ts'
import { invalidPaths, outputsOf } from '../nix/local-store.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Outcome } from './outcome.ts'
import type { Unwanted } from './policy.ts'
import type { Route } from './route.ts'

/** A job in a batch, and those of its paths that go to this destination. */
export interface Item {
  claimed: ClaimedJob
  paths: readonly string[]
  note?: string
}

/** Of a job's paths that are gone, so many are named. */
const PATHS_NAMED = 5
/** Of those that a policy leaves out. */
const NOTES_AT_MOST = 50

interface Sorting {
  route: Route
  signal: AbortSignal
  outcomes: Map<ClaimedJob, Outcome>
}

/**
 * Sorts out which of the jobs can be sent, and what of them: looks outputs up, takes out what is gone or damaged, and
 * leaves out what the destination doesn't want.
 * @param outcomes Gets the outcome of each job that there is nothing to send of.
 * @returns What is to be sent.
 */
export async function prepare(
  jobs: readonly ClaimedJob[],
  route: Route,
  signal: AbortSignal,
  outcomes: Map<ClaimedJob, Outcome>,
): Promise<Item[]> {
  const sorting: Sorting = { route, signal, outcomes }
  await resolveOutputs(sorting, jobs)
  const known = jobs.filter((job) => !outcomes.has(job))
  if (known.length === 0) return []
  // Nearly always all is well, and one question says so.
  if (await route.takesAll(outPathsOf(known), signal)) return applyPolicy(sorting, known)
  return takeOutCorrupt(sorting, await applyPolicy(sorting, await takeOutInvalid(sorting, known)))
}

/** A hook that was given no OUT_PATHS (Nix 2.8) and could not look them up names the derivation only. */
async function resolveOutputs(sorting: Sorting, jobs: readonly ClaimedJob[]): Promise<void> {
  for (const claimed of jobs) {
    const { job } = claimed
    if (job.outPaths.length > 0 || job.drvPath === undefined) continue
    try {
      claimed.job = { ...job, outPaths: await outputsOf(job.drvPath, sorting.signal) }
    } catch (error) {
      if (!(error instanceof NixFailure) || error.ended) throw error
      sorting.outcomes.set(claimed, { kind: 'failed', verdict: outputsUnknown(job.drvPath, error) })
    }
  }
}

function outputsUnknown(drvPath: string, error: NixFailure): Verdict {
  const { blame, permanent } = judge(error.messages)
  const message = `the job names no outputs, and Nix can't look them up from ${drvPath}: ${error.message}`
  return { blame: blame === 'destination' ? 'unknown' : blame, permanent, message }
}

/** `nix copy` refuses a whole batch for one path that isn't valid, so those are looked for first. */
async function takeOutInvalid(sorting: Sorting, jobs: ClaimedJob[]): Promise<ClaimedJob[]> {
  const invalid = await invalidPaths(outPathsOf(jobs), sorting.signal)
  return takeOut(sorting, jobs, invalid, 'not in the store, garbage-collected before it was uploaded?')
}

async function takeOutCorrupt(sorting: Sorting, items: Item[]): Promise<Item[]> {
  if (items.length === 0) return []
  const corrupt = await sorting.route.corrupt(pathsOf(items), sorting.signal)
  const why = 'its content in the store is not what was built; `nix-store --repair-path` may mend it:'
  const left = new Set(
    takeOut(
      sorting,
      items.map(({ claimed }) => claimed),
      corrupt,
      why,
    ),
  )
  return items.filter(({ claimed }) => left.has(claimed))
}

/** Fails the jobs that have one of the given paths, for good. Returns the others. */
function takeOut(sorting: Sorting, jobs: ClaimedJob[], bad: ReadonlySet<string>, why: string): ClaimedJob[] {
  if (bad.size === 0) return jobs
  return jobs.filter((claimed) => {
    const found = claimed.job.outPaths.filter((path) => bad.has(path))
    if (found.length === 0) return true
    const more = found.length > PATHS_NAMED ? ` and ${found.length - PATHS_NAMED} more` : ''
    const message = `${why} ${found.slice(0, PATHS_NAMED).join(' ')}${more}`
    sorting.outcomes.set(claimed, { kind: 'failed', verdict: { blame: 'job', permanent: true, message } })
    return false
  })
}

async function applyPolicy(sorting: Sorting, jobs: ClaimedJob[]): Promise<Item[]> {
  const paths = outPathsOf(jobs)
  const reasons = paths.length === 0 ? new Map() : await sorting.route.unwanted(paths, sorting.signal)
  return jobs.flatMap((claimed): Item[] => {
    const { outPaths } = claimed.job
    const wanted = outPaths.filter((path) => !reasons.has(path))
    const note = noteOf(outPaths, reasons)
    if (wanted.length > 0) return [{ claimed, paths: wanted, ...(note === undefined ? {} : { note }) }]
    sorting.outcomes.set(claimed, { kind: 'skipped', reason: note ?? 'the derivation has no outputs' })
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
