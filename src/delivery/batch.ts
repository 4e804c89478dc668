import { codeOf, UserError, wordsOf } from '../config/user-error.ts'
import { judge, type Verdict } from '../nix/blame.ts'
import { NixFailure } from '../nix/failure.ts'
import { invalidPaths, outputsOf } from '../nix/local-store.ts'
import { NotStartedError } from '../nix/run.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Outcome } from './outcome.ts'
import type { Unwanted } from './policy.ts'
import { type Route, SendFailure } from './route.ts'

/** A job in a batch, and those of its paths that go to this destination. */
interface Item {
  claimed: ClaimedJob
  paths: readonly string[]
  note?: string
}

interface Batch {
  route: Route
  signal: AbortSignal
  outcomes: Map<ClaimedJob, Outcome>
  /** How many times something was sent. */
  runs: number
}

/**
 * Delivers jobs together, and finds those that spoil it for the others: a job whose paths are gone is taken out
 * before, and a copy that fails for a reason that isn't the destination's is split until the culprit stands alone.
 * @returns An outcome for each job, and how many times something was sent.
 */
export async function deliver(
  jobs: readonly ClaimedJob[],
  route: Route,
  signal: AbortSignal,
): Promise<{ outcomes: ReadonlyMap<ClaimedJob, Outcome>; runs: number }> {
  const batch: Batch = { route, signal, outcomes: new Map(), runs: 0 }
  try {
    await resolveOutputs(batch, jobs)
    const valid = await takeOutInvalid(batch, undecided(batch, jobs))
    const items = await applyPolicy(batch, valid)
    if (items.length > 0) await sendOrSplit(batch, items)
  } catch (error) {
    const outcome = outcomeOf(error)
    for (const job of undecided(batch, jobs)) batch.outcomes.set(job, outcome)
  }
  return batch
}

function undecided(batch: Batch, jobs: readonly ClaimedJob[]): ClaimedJob[] {
  return jobs.filter((job) => !batch.outcomes.has(job))
}

/** A hook that was given no OUT_PATHS (Nix 2.8) and could not look them up names the derivation only. */
async function resolveOutputs(batch: Batch, jobs: readonly ClaimedJob[]): Promise<void> {
  for (const claimed of jobs) {
    const { job } = claimed
    if (job.outPaths.length > 0 || job.drvPath === undefined) continue
    try {
      claimed.job = { ...job, outPaths: await outputsOf(job.drvPath, batch.signal) }
    } catch (error) {
      if (!(error instanceof NixFailure) || error.ended) throw error
      batch.outcomes.set(claimed, { kind: 'failed', verdict: outputsUnknown(job.drvPath, error) })
    }
  }
}

function outputsUnknown(drvPath: string, error: NixFailure): Verdict {
  const { blame, permanent } = judge(error.messages)
  const message = `the job names no outputs, and Nix can't look them up from ${drvPath}: ${error.message}`
  return { blame: blame === 'destination' ? 'unknown' : blame, permanent, message }
}

/** `nix copy` refuses a whole batch for one path that isn't valid, so those are looked for first. */
async function takeOutInvalid(batch: Batch, jobs: ClaimedJob[]): Promise<ClaimedJob[]> {
  if (jobs.length === 0) return []
  const invalid = await invalidPaths([...new Set(jobs.flatMap(({ job }) => job.outPaths))], batch.signal)
  if (invalid.size === 0) return jobs
  return jobs.filter((claimed) => {
    const gone = claimed.job.outPaths.filter((path) => invalid.has(path))
    if (gone.length === 0) return true
    const message = `not in the store, garbage-collected before it was uploaded? ${gone.join(' ')}`
    batch.outcomes.set(claimed, { kind: 'failed', verdict: { blame: 'job', permanent: true, message } })
    return false
  })
}

async function applyPolicy(batch: Batch, jobs: ClaimedJob[]): Promise<Item[]> {
  const paths = [...new Set(jobs.flatMap(({ job }) => job.outPaths))]
  const reasons = paths.length === 0 ? new Map() : await batch.route.unwanted(paths, batch.signal)
  return jobs.flatMap((claimed): Item[] => {
    const { outPaths } = claimed.job
    const wanted = outPaths.filter((path) => !reasons.has(path))
    const note = noteOf(outPaths, reasons)
    if (wanted.length > 0) return [{ claimed, paths: wanted, ...(note === undefined ? {} : { note }) }]
    batch.outcomes.set(claimed, { kind: 'skipped', reason: note ?? 'the derivation has no outputs' })
    return []
  })
}

function noteOf(paths: readonly string[], reasons: Unwanted): string | undefined {
  const left = paths.flatMap((path) => (reasons.has(path) ? [`${path}: ${reasons.get(path)}`] : []))
  return left.length === 0 ? undefined : `not uploaded, ${left.join('; ')}`
}

async function sendOrSplit(batch: Batch, items: Item[]): Promise<void> {
  try {
    batch.runs++
    await batch.route.send([...new Set(items.flatMap(({ paths }) => paths))], drvPathsOf(items), batch.signal)
    for (const { claimed, note } of items) {
      batch.outcomes.set(claimed, { kind: 'delivered', ...(note === undefined ? {} : { note }) })
    }
  } catch (error) {
    const outcome = outcomeOf(error)
    if (outcome.kind !== 'failed' || outcome.verdict.blame === 'destination') throw error
    const [only] = items
    if (items.length === 1 && only) batch.outcomes.set(only.claimed, await probed(batch, only, outcome))
    else for (const part of split(items, outcome.verdict.path)) await sendOrSplit(batch, part)
    blameDestinationIfAllFailed(batch, items, outcome.verdict)
  }
}

/** An error we don't know is not the job's where the destination doesn't answer a harmless question either. */
async function probed(batch: Batch, { paths }: Item, outcome: Outcome): Promise<Outcome> {
  if (outcome.kind !== 'failed' || outcome.verdict.blame !== 'unknown') return outcome
  try {
    await batch.route.probe(paths, batch.signal)
    return outcome
  } catch (error) {
    const probe = outcomeOf(error)
    if (probe.kind !== 'failed') return probe
    return { kind: 'failed', verdict: { ...outcome.verdict, blame: 'destination' } }
  }
}

/** Apart from the rest the jobs that hold the path Nix complains of; without such a path, two halves. */
function split(items: Item[], path: string | undefined): Item[][] {
  const named = path === undefined ? [] : items.filter(({ paths }) => paths.includes(path))
  if (named.length > 0 && named.length < items.length)
    return [items.filter((item) => !named.includes(item)), named]
  const middle = Math.ceil(items.length / 2)
  return [items.slice(0, middle), items.slice(middle)]
}

/** An error we don't know that hits every job of several alike says more of the destination than of the jobs. */
function blameDestinationIfAllFailed(batch: Batch, items: Item[], verdict: Verdict): void {
  if (items.length < 2 || verdict.blame !== 'unknown') return
  const isUnknown = (outcome?: Outcome) => outcome?.kind === 'failed' && outcome.verdict.blame === 'unknown'
  if (!items.every(({ claimed }) => isUnknown(batch.outcomes.get(claimed)))) return
  for (const { claimed } of items) {
    batch.outcomes.set(claimed, { kind: 'failed', verdict: { ...verdict, blame: 'destination' } })
  }
}

function drvPathsOf(items: readonly Item[]): string[] {
  return [...new Set(items.flatMap(({ claimed }) => claimed.job.drvPath ?? []))]
}

/** What an error thrown while delivering means for the jobs it hit. */
function outcomeOf(error: unknown): Outcome {
  if (error instanceof SendFailure) return { kind: 'failed', verdict: error.verdict }
  if (error instanceof NixFailure) {
    if (error.ended === 'aborted') return { kind: 'aborted' }
    if (error.ended === 'silent') return failedAtDestination('no sign of life for too long, so it was ended')
    return { kind: 'failed', verdict: judge(error.messages) }
  }
  if (error instanceof NotStartedError) {
    return failedAtDestination(`${error.message}; install it or put it on the PATH of this service`)
  }
  // No file handles left, no room for temporary files: not the job's fault.
  if (codeOf(error) !== undefined || error instanceof UserError) return failedAtDestination(wordsOf(error))
  throw error
}

function failedAtDestination(message: string): Outcome {
  return { kind: 'failed', verdict: { blame: 'destination', permanent: false, message } }
}
