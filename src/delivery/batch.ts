import type { ClaimedJob } from '../spool/claim.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { failureOf } from './failure.ts'
import { Isolation } from './isolation.ts'
import type { Outcome } from './outcome.ts'
import { prepare, type Target } from './prepare.ts'

/**
 * Delivers jobs together; a fault of some of them doesn't stop the others.
 * @returns An outcome for each job, and how many times something was sent.
 */
export async function deliver(
  jobs: readonly ClaimedJob[],
  target: Target,
  signal: AbortSignal,
  progress: UploadProgress,
): Promise<{ outcomes: ReadonlyMap<ClaimedJob, Outcome>; runs: number }> {
  const isolation = new Isolation(target, signal, progress)
  const { outcomes } = isolation
  try {
    const items = await prepare(jobs, target, signal, outcomes)
    if (items.length > 0) await isolation.deliver(items)
  } catch (error) {
    const failure = failureOf(error)
    if (failure?.isBug)
      target.log.error({ err: error }, 'a bug in nix-upload; the destination is tried again')
    const outcome: Outcome = failure ? { kind: 'failed', verdict: failure.verdict } : { kind: 'aborted' }
    for (const job of jobs) if (!outcomes.has(job)) outcomes.set(job, outcome)
  }
  return isolation
}
