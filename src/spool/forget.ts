import { join } from 'node:path'
import { ANY_STORE } from '../nix/store-path.ts'
import { own } from '../util/own.ts'
import { hasFailed, isSettled, missingRecords, type Place } from './job.ts'
import { NotAJobError } from './job-file.ts'
import type { Spool } from './layout.ts'
import { readJobFile } from './read.ts'
import { record, release, settleDone, settleFailed } from './settle.ts'
import { namesIn } from './survey.ts'
import { freeName, renameIfThere } from './write.ts'

/**
 * Gives up what waits in `new/` for a destination that isn't configured any more: the jobs say so from then on, and those
 * that wait for nothing else are settled. Each is claimed while it is written, as the daemon does it (docs/SPOOL.md, T13).
 * @param places The configured destinations: jobs go on waiting for these.
 * @returns Yields the names of the jobs.
 */
export function* forgetDestination(
  spool: Spool,
  destination: string,
  places: readonly Place[],
  now: Date,
): Generator<string> {
  for (const name of namesIn(spool, 'new')) {
    const file = read(join(spool.new, name))
    const before = own(file?.job.destinations, destination)
    if (!file || before?.state !== 'waiting') continue
    const target = freeName(spool.cur, name)
    if (!renameIfThere(join(spool.new, name), join(spool.cur, target))) continue
    const note = 'given up, as this destination is not configured any more'
    const settled = { ...before, state: 'skipped' as const, settledAt: now.toISOString(), note }
    const forgotten = { ...file.job, destinations: { ...file.job.destinations, [destination]: settled } }
    // Without a record for each destination that it waits for, the job would count as requeued.
    const missing = Object.fromEntries(missingRecords(forgotten, places))
    const job = { ...forgotten, destinations: { ...forgotten.destinations, ...missing } }
    const claimed = { name: target, job, identity: file.identity }
    if (!record(spool, claimed)) continue
    // The sweep removes the GC roots of what is done (T11).
    if (!isSettled(job)) release(spool, target)
    else if (hasFailed(job)) settleFailed(spool, claimed)
    else settleDone(spool, claimed)
    yield name
  }
}

function read(path: string) {
  try {
    return readJobFile(path, ANY_STORE)
  } catch (error) {
    if (error instanceof NotAJobError) return undefined
    throw error
  }
}
