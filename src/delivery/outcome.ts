import type { DeliveryRecord } from '../spool/job.ts'
import type { Verdict } from '../util/verdict.ts'

/** The result of a batch for one job. */
export type Outcome =
  /** `note` says which of its paths the policy left out. */
  | { kind: 'delivered'; note?: string }
  | { kind: 'skipped'; reason: string }
  | { kind: 'failed'; verdict: Verdict }
  /** The destination takes others, but has trouble with this one: it waits by itself, and costs no attempt. */
  | { kind: 'held'; verdict: Verdict }
  | { kind: 'aborted' }

/**
 * What happens to a job after an outcome: it is finished here; it is tried again later by itself (it failed, or the
 * destination has trouble with this job only); or it waits for the destination.
 */
export type Next = 'settled' | 'retry' | 'hold' | 'wait' | 'give back'

/**
 * Turns an outcome into the job's next record. Only a failure of the job itself costs an attempt; a failure of the
 * destination costs none, so that a week without network loses nothing.
 * @param before The record so far, if there is one.
 */
export function afterOutcome(
  before: DeliveryRecord | undefined,
  outcome: Outcome,
  maxAttempts: number,
  now: Date,
): { record: DeliveryRecord; next: Next } {
  const record: DeliveryRecord = before ?? { state: 'waiting', attempts: 0 }
  const at = now.toISOString()
  switch (outcome.kind) {
    case 'aborted':
      return { record, next: 'give back' }
    case 'skipped':
      return { record: { ...record, state: 'skipped', settledAt: at, note: outcome.reason }, next: 'settled' }
    case 'delivered': {
      const { error: _, ...rest } = record
      const note = outcome.note === undefined ? {} : { note: outcome.note }
      return { record: { ...rest, state: 'done', settledAt: at, ...note }, next: 'settled' }
    }
    case 'held':
      return { record: { ...record, error: outcome.verdict.message, lastAttemptAt: at }, next: 'hold' }
    case 'failed': {
      const { blame, permanent, message: error } = outcome.verdict
      if (blame === 'destination') return { record: { ...record, error, lastAttemptAt: at }, next: 'wait' }
      const attempts = record.attempts + 1
      const failed = { ...record, attempts, error, lastAttemptAt: at }
      if (!permanent && attempts < maxAttempts) return { record: failed, next: 'retry' }
      return { record: { ...failed, state: 'failed', settledAt: at }, next: 'settled' }
    }
  }
}
