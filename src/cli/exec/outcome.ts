import { count, jobsIn } from '../../spool/survey.ts'
import { jobAsJson } from '../list.ts'
import { printable, say } from '../print.ts'
import type { Workspace } from './workspace.ts'

/** At most this many failed jobs are named at the end. */
const NAMED = 10

const NOTHING_BUILT =
  'nothing was built: either all paths were in the store or in a cache already, or the command did not pass NIX_CONFIG ' +
  'to Nix (sudo does not). To queue paths that are in the store, use `nix-upload backfill` or `enqueue`'

/** How the command and the uploads went. */
interface Result {
  /** The command's exit status. */
  status: number
  done: number
  failed: number
}

/** Prints the result in one line. */
export function sayResult(workspace: Workspace, { status, done, failed }: Result): void {
  const { spool } = workspace
  const waiting = count(spool, 'new').jobs + count(spool, 'cur').jobs
  if (done + failed + waiting === 0) {
    say(
      `nix-upload: nothing was queued, since ${status === 0 ? NOTHING_BUILT : `the command ended with ${status}`}`,
    )
    return
  }
  const parts = [
    `${done} uploaded`,
    ...(failed > 0 ? [`${failed} FAILED`] : []),
    ...(waiting > 0 ? [`${waiting} NOT UPLOADED YET`] : []),
  ]
  const isOnlyUs = status === 0 && failed + waiting > 0
  const but = isOnlyUs
    ? '; the command itself succeeded'
    : status === 0
      ? ''
      : `; the command ended with ${status}`
  say(`nix-upload: ${parts.join(', ')}${but}`)
}

/** Prints why each job failed: the spool of a CI job is soon gone. */
export function sayFailures({ spool }: Workspace): void {
  const failures = [...jobsIn(spool, ['failed'])].map(jobAsJson)
  for (const { job, lastError } of failures.slice(0, NAMED)) {
    say(`nix-upload: ${printable(job)}: ${printable(lastError ?? 'no reason is known')}`)
  }
  if (failures.length > NAMED) say(`nix-upload: and ${failures.length - NAMED} more`)
}

/** True if some job in the spool is not uploaded. */
export function isKept({ spool }: Workspace): boolean {
  return (['new', 'cur', 'failed'] as const).some((state) => count(spool, state).jobs > 0)
}
