import type { Snapshot } from '../daemon/status/snapshot.ts'
import { AGE_BOUNDS, type Ages } from '../spool/ages.ts'
import { STATES } from '../spool/layout.ts'

/** A snapshot as `status --json` prints it. */
export function asJson({ spool, paused, daemon, report, stale, states, failures, destinations }: Snapshot) {
  const isRunning = daemon === 'running'
  return {
    spool: spool.root,
    paused,
    daemon: { running: isRunning, pid: isRunning && report ? report.pid : null, stale: stale?.reasons ?? [] },
    jobs: Object.fromEntries(STATES.map((state) => [state, states[state].jobs])),
    oldestSeconds: {
      new: ageSeconds(states.new),
      cur: ageSeconds(states.cur),
      failed: ageSeconds(states.failed),
    },
    destinations: destinations.map(({ name, to, isConfigured, paused, waiting, report }) => ({
      name,
      to,
      configured: isConfigured,
      state: report.state,
      lastError: report.lastError ?? null,
      nextAttemptAt: report.nextAttemptAt ?? null,
      paused,
      lastSuccessAt: report.lastSuccessAt ?? null,
      waiting: {
        jobs: waiting.jobs,
        isEstimate: waiting.isEstimate,
        oldestSeconds: ageSeconds(waiting),
        ages: agesAsJson(waiting),
        retrying: waiting.retrying.jobs,
      },
      running: report.running ?? [],
      rate: report.rate ?? { bytes: 0, jobs: 0 },
    })),
    failures: failures.reasons,
  }
}

function agesAsJson({ columns }: Ages): Record<string, number> {
  const names = [...AGE_BOUNDS.map(([name]) => name), 'older']
  return Object.fromEntries(names.map((name, at) => [name, columns[at] ?? 0]))
}

function ageSeconds({ oldest }: Ages): number | null {
  return oldest ? Math.max(0, Math.round((Date.now() - oldest.getTime()) / 1000)) : null
}
