import { codeOf, UserError, wordsOf } from '../config/user-error.ts'
import { judge, type Verdict } from '../nix/blame.ts'
import { NixFailure } from '../nix/failure.ts'
import { NotStartedError } from '../nix/run.ts'
import type { ClaimedJob } from '../spool/claim.ts'
import type { Outcome } from './outcome.ts'
import { type Item, pathsOf, prepare } from './prepare.ts'
import { type Route, SendFailure } from './route.ts'

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
    const items = await prepare(jobs, route, signal, batch.outcomes)
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

async function sendOrSplit(batch: Batch, items: Item[]): Promise<void> {
  try {
    batch.runs++
    await batch.route.send(pathsOf(items), drvPathsOf(items), batch.signal)
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
