import type { Logger } from 'pino'
import type { ClaimedJob } from '../spool/claim.ts'
import type { DeliveryRecord } from '../spool/job.ts'
import type { Observer, Result } from './observer.ts'
import type { Next } from './outcome.ts'

/**
 * Reports the result of a job at a destination to the log and the observer.
 * @param destination Its name.
 */
export function tell(
  { log, observer }: { log: Logger; observer?: Observer | undefined },
  claimed: ClaimedJob,
  destination: string,
  record: DeliveryRecord,
  next: Next,
): void {
  tellLog(log, claimed, destination, record, next)
  const result = resultOf(record, next)
  if (result !== undefined) observer?.onResult(destination, result)
}

function tellLog(
  log: Logger,
  claimed: ClaimedJob,
  destination: string,
  { state, attempts, error, note }: DeliveryRecord,
  next: Next,
): void {
  const about = { job: claimed.name, destination }
  if (next === 'hold')
    log.warn({ ...about, error }, 'the destination has trouble with this job alone; it waits by itself')
  if (next === 'retry') log.warn({ ...about, attempts, error }, 'failed, will be tried again')
  if (next !== 'settled') return
  const paths = claimed.job.outPaths.length
  if (state === 'failed') log.error({ ...about, attempts, error }, 'given up')
  else log.info({ ...about, paths, note }, state === 'skipped' ? 'skipped' : 'delivered')
}

function resultOf({ state }: DeliveryRecord, next: Next): Result | undefined {
  if (next === 'wait' || next === 'hold') return 'deferred'
  if (next === 'retry') return 'retried'
  if (next !== 'settled' || state === 'waiting') return undefined
  return state === 'done' ? 'delivered' : state
}
