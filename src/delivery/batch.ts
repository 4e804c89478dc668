import type { ClaimedJob } from '../spool/claim.ts'
import { outcomeOf } from './failure.ts'
import { Isolation } from './isolation.ts'
import type { Outcome } from './outcome.ts'
import { prepare } from './prepare.ts'
import type { Progress, Route } from './route.ts'

/**
 * Delivers jobs together; what is wrong with one of them or some keeps none of the others.
 * @param destination Its name.
 * @returns An outcome for each job, and how many times something was sent.
 */
export async function deliver(
  jobs: readonly ClaimedJob[],
  destination: string,
  route: Route,
  signal: AbortSignal,
  progress: Progress,
): Promise<{ outcomes: ReadonlyMap<ClaimedJob, Outcome>; runs: number }> {
  const isolation = new Isolation(destination, route, signal, progress)
  const { outcomes } = isolation
  try {
    const items = await prepare(jobs, route, signal, outcomes)
    if (items.length > 0) await isolation.deliver(items)
  } catch (error) {
    const outcome = outcomeOf(error)
    for (const job of jobs) if (!outcomes.has(job)) outcomes.set(job, outcome)
  }
  return isolation
}
