// Snapshots of spools that were never there, for what is made of them.

import type { DestinationStatus, Snapshot } from '../../../src/daemon/status/snapshot.ts'
import type { Ages } from '../../../src/spool/ages.ts'
import { spoolAt } from '../../../src/spool/layout.ts'
import { HOUR } from '../../spool/temp-spool.ts'

export const NOW = Date.parse('2026-11-23T08:00:00Z')
export const DAY = 24 * HOUR

/** So many jobs, the oldest of which has waited so long. */
export function jobs(count: number, oldestMs = HOUR / 2): Ages {
  const oldest = count === 0 ? undefined : new Date(NOW - oldestMs)
  return { jobs: count, oldest, columns: [0, 0, 0, count, 0, 0, 0, 0] }
}

export function ago(ms: number): string {
  return new Date(NOW - ms).toISOString()
}

/** A destination that is up, for which nothing waits. */
export function destination(name: string, more: Partial<DestinationStatus> = {}): DestinationStatus {
  const to = more.to ?? `s3://${name}`
  return {
    name,
    to,
    isConfigured: true,
    paused: false,
    waiting: waitingFor(name, to, jobs(0)),
    report: { to, state: 'ok', failures: 0 },
    ...more,
  }
}

export function waitingFor(name: string, to: string, ages: Ages): DestinationStatus['waiting'] {
  return { ...ages, place: { name, to }, isEstimate: false, retrying: { jobs: 0 } }
}

/** A spool in which nothing is, with a daemon that runs. */
export function seen(
  more: Partial<Omit<Snapshot, 'states'>> & { states?: Partial<Snapshot['states']> } = {},
): Snapshot {
  const none = jobs(0)
  return {
    spool: spoolAt('/var/spool/nix-upload'),
    exists: true,
    paused: false,
    report: { pid: 4711, identity: '', lock: '', startedAt: ago(DAY), destinations: {} },
    daemon: 'running',
    failures: { reasons: [], read: 0, invalid: 0 },
    destinations: [destination('s3')],
    ...more,
    states: { new: none, cur: none, done: none, failed: none, ...more.states },
  }
}
