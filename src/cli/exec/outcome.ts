import { count, jobsIn } from '../../spool/survey.ts'
import { jobAsJson } from '../list.ts'
import { printable, say } from '../print.ts'
import type { Workspace } from './workspace.ts'

/** So many failed jobs are named at the end. */
const NAMED = 10

const NOTHING_BUILT =
  'nothing was built: either all of it was in the store or in a cache already, or the command did not hand NIX_CONFIG on ' +
  'to Nix (sudo does not). What is in the store already can be queued with `nix-upload backfill` or `enqueue`'

/** How the command and the uploads went. */
interface Result {
  /** The command's exit status. */
  status: number
  done: number
  failed: number
}

/** Says in a line what came of it. */
export function sayResult(workspace: Workspace, { status, done, failed }: Result): void {
  const { spool } = workspace
  const waiting = count(spool, 'new').jobs + count(spool, 'cur').jobs
  if (done + failed + waiting === 0) {
    say(
      `nix-upload: nothing was queued, as ${status === 0 ? NOTHING_BUILT : `the command ended with ${status}`}`,
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
    ? '; the command itself ended well'
    : status === 0
      ? ''
      : `; the command ended with ${status}`
  say(`nix-upload: ${parts.join(', ')}${but}`)
}

/** Says of each failed job why: a CI job's spool is soon gone. */
export function sayFailures({ spool }: Workspace): void {
  const failures = [...jobsIn(spool, ['failed'])].map(jobAsJson)
  for (const { job, lastError } of failures.slice(0, NAMED)) {
    say(`nix-upload: ${printable(job)}: ${printable(lastError ?? 'no reason is known')}`)
  }
  if (failures.length > NAMED) say(`nix-upload: and ${failures.length - NAMED} more`)
}

/** True where something in the spool is not uploaded. */
export function isKept({ spool }: Workspace): boolean {
  return (['new', 'cur', 'failed'] as const).some((state) => count(spool, state).jobs > 0)
}
