import { codeOf, wordsOf } from '../config/user-error.ts'
import { judge, type Verdict } from '../nix/blame.ts'
import { invalidPaths, NixFailure, outputsOf } from '../nix/nix.ts'
import { NotStartedError } from '../nix/run.ts'
import type { ClaimedJob } from '../spool/claim.ts'

/** What a batch came to for one job. */
export type Outcome = { kind: 'delivered' } | { kind: 'failed'; verdict: Verdict } | { kind: 'aborted' }

/** Uploads store paths to the destination, or throws what Nix said. */
export type Send = (paths: readonly string[]) => Promise<void>

/** What is known of a batch on its way. */
interface Batch {
  send: Send
  outcomes: Map<ClaimedJob, Outcome>
  /** How many times `send` was called. */
  runs: number
}

/**
 * Delivers jobs together, and finds those that spoil it for the others: a job whose paths are gone is taken out
 * before, and a copy that fails for a reason that isn't the destination's is split until the culprit stands alone.
 * @returns An outcome for each job.
 */
export async function deliver(
  jobs: readonly ClaimedJob[],
  send: Send,
  signal: AbortSignal,
): Promise<{ outcomes: Map<ClaimedJob, Outcome>; runs: number }> {
  const batch: Batch = { send, outcomes: new Map(), runs: 0 }
  try {
    await resolveOutputs(batch, jobs, signal)
    const valid = await takeOutInvalid(batch, undecided(batch, jobs), signal)
    if (valid.length > 0) await sendOrSplit(batch, valid)
  } catch (error) {
    const outcome = outcomeOf(error)
    for (const job of undecided(batch, jobs)) batch.outcomes.set(job, outcome)
  }
  return batch
}

function undecided(batch: Batch, jobs: readonly ClaimedJob[]): ClaimedJob[] {
  return jobs.filter((job) => !batch.outcomes.has(job))
}

/** A hook that was given no OUT_PATHS (Nix 2.8) names the derivation only. */
async function resolveOutputs(batch: Batch, jobs: readonly ClaimedJob[], signal: AbortSignal): Promise<void> {
  for (const claimed of jobs) {
    const { job } = claimed
    if (job.outPaths.length > 0 || job.drvPath === undefined) continue
    try {
      claimed.job = { ...job, outPaths: await outputsOf(job.drvPath, signal) }
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
async function takeOutInvalid(batch: Batch, jobs: ClaimedJob[], signal: AbortSignal): Promise<ClaimedJob[]> {
  if (jobs.length === 0) return []
  const invalid = await invalidPaths(pathsOf(jobs), signal)
  if (invalid.size === 0) return jobs
  return jobs.filter((claimed) => {
    const gone = claimed.job.outPaths.filter((path) => invalid.has(path))
    if (gone.length === 0) return true
    const message = `no longer in the store, garbage-collected before it was uploaded? ${gone.join(' ')}`
    batch.outcomes.set(claimed, { kind: 'failed', verdict: { blame: 'job', permanent: true, message } })
    return false
  })
}

async function sendOrSplit(batch: Batch, jobs: ClaimedJob[]): Promise<void> {
  try {
    batch.runs++
    await batch.send(pathsOf(jobs))
    for (const job of jobs) batch.outcomes.set(job, { kind: 'delivered' })
  } catch (error) {
    const outcome = outcomeOf(error)
    const isOthers = outcome.kind !== 'failed' || outcome.verdict.blame === 'destination'
    if (isOthers) throw error
    const [first] = jobs
    if (jobs.length === 1 && first) batch.outcomes.set(first, outcome)
    else for (const part of splitAt(jobs, outcome.verdict.path)) await sendOrSplit(batch, part)
    blameDestinationIfAllFailed(batch, jobs, outcome)
  }
}

/** Apart from the rest the jobs that hold the path Nix complains of; without such a path, two halves. */
function splitAt(jobs: ClaimedJob[], path: string | undefined): ClaimedJob[][] {
  const named = path === undefined ? [] : jobs.filter(({ job }) => job.outPaths.includes(path))
  if (named.length > 0 && named.length < jobs.length)
    return [jobs.filter((job) => !named.includes(job)), named]
  const middle = Math.ceil(jobs.length / 2)
  return [jobs.slice(0, middle), jobs.slice(middle)]
}

/** An error we don't know that hits every job of several alike says more of the destination than of the jobs. */
function blameDestinationIfAllFailed(batch: Batch, jobs: ClaimedJob[], outcome: Outcome): void {
  if (jobs.length < 2 || outcome.kind !== 'failed' || outcome.verdict.blame !== 'unknown') return
  const outcomes = jobs.map((job) => batch.outcomes.get(job))
  if (!outcomes.every((other) => other?.kind === 'failed' && other.verdict.blame === 'unknown')) return
  const verdict: Verdict = { ...outcome.verdict, blame: 'destination' }
  for (const job of jobs) batch.outcomes.set(job, { kind: 'failed', verdict })
}

function pathsOf(jobs: readonly ClaimedJob[]): string[] {
  return [...new Set(jobs.flatMap(({ job }) => job.outPaths))]
}

/** What an error thrown while delivering means for the jobs it hit. */
function outcomeOf(error: unknown): Outcome {
  if (error instanceof NixFailure) {
    if (error.ended === 'aborted') return { kind: 'aborted' }
    if (error.ended === 'silent') return failedAtDestination(`no sign of life for too long, so it was ended`)
    return { kind: 'failed', verdict: judge(error.messages) }
  }
  if (error instanceof NotStartedError) {
    return failedAtDestination(`${error.message}; install Nix or put it on the PATH of this service`)
  }
  // No file handles left, no room for temporary files: not the job's fault.
  if (codeOf(error) !== undefined) return failedAtDestination(wordsOf(error))
  throw error
}

function failedAtDestination(message: string): Outcome {
  return { kind: 'failed', verdict: { blame: 'destination', permanent: false, message } }
}
