// What the tests of delivery have in common: what a run of the daemon logs and leaves in the spool.

import { isObject } from '../../src/util/is-object.ts'
import type { Site, State } from '../integration/site.ts'
import { nixVersions } from '../support/nix-versions.mjs'

export const versions = await nixVersions()

/** Debug lines say how each batch went. */
export const DEBUG = 'log-level = "debug"\n'

/** How a batch went: its line in the log. */
export interface BatchLine {
  destination: string
  jobs: number
  paths: number
  /** How many copies it took. */
  runs: number
}

/** The lines of a log that are JSON objects. */
export function logLines(log: string | readonly string[]): Record<string, unknown>[] {
  const lines = typeof log === 'string' ? log.split('\n') : log
  return lines.flatMap((line) => {
    if (!line.startsWith('{')) return []
    const value: unknown = JSON.parse(line)
    return isObject(value) ? [value] : []
  })
}

/** The batches that a log tells of. */
export function batchesIn(log: string | readonly string[], destination?: string): BatchLine[] {
  return logLines(log).flatMap((line) => {
    if (line.msg !== 'batch through' || (destination ?? line.destination) !== line.destination) return []
    const [jobs, paths, runs] = [line.jobs, line.paths, line.runs].map(Number)
    return [{ destination: String(line.destination), jobs: jobs ?? 0, paths: paths ?? 0, runs: runs ?? 0 }]
  })
}

/** For each job in a state what its file says of a destination. */
export function deliveries(site: Site, state: State, destination = 'default') {
  return Promise.all(site.names(state).map((name) => site.delivery(state, name, destination)))
}

/** Queues a job for each list of paths by hand, so that nobody looks whether they are there. */
export async function handOverAll(site: Site, jobs: (readonly string[])[], name = 'by-hand'): Promise<void> {
  for (const [at, outPaths] of jobs.entries()) {
    await site.handOver(`${name}-${`${at}`.padStart(5, '0')}.json`, JSON.stringify({ outPaths }))
  }
}

/** Takes `count` of a list, spread evenly over it. */
export function spread<T>(list: readonly T[], count: number): T[] {
  return Array.from(
    { length: count },
    (_, at) => list[Math.floor(((at + 0.5) * list.length) / count)],
  ).flatMap((item) => (item === undefined ? [] : [item]))
}
