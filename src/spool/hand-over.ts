import { randomBytes } from 'node:crypto'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import type { GcRoots } from '../nix/gc-roots.ts'
import { nameOf } from '../nix/store-path.ts'
import { rootedPaths } from './claim.ts'
import type { Spool } from './layout.ts'
import { fsyncDirectory, unlinkIfThere, writeTemporary } from './write.ts'

/** What a new job is to upload. */
export interface NewJob {
  drvPath?: string
  outPaths: string[]
}

/** Job names stay this short so that they and the `.HASH` of a GC root fit into a file name (255 bytes). */
const MAX_NAME = 120

/** What was handed over. */
export interface HandedOver {
  /** The jobs' names, in the order they came; all of them are durable. */
  names: string[]
  /** Why their paths are not safe from garbage collection, if they aren't: they are queued all the same. */
  rootsError?: unknown
}

/** A job that has its roots but is not queued yet. */
interface Named {
  job: NewJob
  name: string
}

/** Jobs that have their roots but are not queued yet. */
export interface Prepared {
  jobs: Named[]
  now: Date
  rootsError?: unknown
}

/** Names jobs and makes their roots, the first step of handing them over. */
export function prepareJobs(roots: GcRoots, jobs: readonly NewJob[], now = new Date()): Prepared {
  const named = jobs.map((job) => ({ job, name: jobName(job, now) }))
  const rootsError = holdRoots(roots, named)
  return { jobs: named, now, ...(rootsError === undefined ? {} : { rootsError }) }
}

/**
 * Drops the jobs that name a path that is gone, and their roots.
 * @returns The others.
 */
export function withoutGone(roots: GcRoots, prepared: Prepared, gone: ReadonlySet<string>): Prepared {
  const isGone = ({ job }: Named) => rootedPaths(job).some((path) => gone.has(path))
  for (const { job, name } of prepared.jobs.filter(isGone)) roots.release(name, rootedPaths(job))
  return { ...prepared, jobs: prepared.jobs.filter((named) => !isGone(named)) }
}

/** Hands jobs over as the hook does (docs/SPOOL.md, T1). See `handOverPrepared`. */
export function handOver(
  spool: Spool,
  roots: GcRoots,
  jobs: readonly NewJob[],
  now = new Date(),
): HandedOver {
  return handOverPrepared(spool, roots, prepareJobs(roots, jobs, now))
}

/**
 * Hands jobs over that have their roots, with one fsync a directory for all of them.
 * @throws A system error; then none of them is queued. If the error came from a rename or the last fsync, the jobs that
 *   were renamed before may be queued. The others are taken back.
 */
export function handOverPrepared(spool: Spool, roots: GcRoots, prepared: Prepared): HandedOver {
  const { now, rootsError } = prepared
  const written = prepared.jobs.map((named) => ({ ...named, temporary: '' }))
  try {
    for (const entry of written) entry.temporary = writeTemporary(spool, contentOf(entry.job, now), true)
    for (const { name, temporary } of written) renameSync(temporary, join(spool.new, name))
  } catch (error) {
    for (const { job, name, temporary } of written) {
      const isHandedOver = temporary !== '' && !unlinkIfThere(temporary)
      if (!isHandedOver) roots.release(name, rootedPaths(job))
    }
    throw error
  }
  fsyncDirectory(spool.new)
  return { names: written.map(({ name }) => name), ...(rootsError === undefined ? {} : { rootsError }) }
}

function holdRoots(roots: GcRoots, jobs: readonly Named[]): unknown {
  try {
    for (const { job, name } of jobs) roots.hold(name, rootedPaths(job))
    if (roots.directory !== undefined) fsyncDirectory(roots.directory)
    return undefined
  } catch (error) {
    return error
  }
}

function contentOf(job: NewJob, now: Date): string {
  const content = {
    version: 1,
    ...(job.drvPath === undefined ? {} : { drvPath: job.drvPath }),
    outPaths: job.outPaths,
    queuedAt: now.toISOString().replace(/\.\d+Z$/, 'Z'),
  }
  return `${JSON.stringify(content)}\n`
}

/** `20261122T031402Z-1b4e28ba2fa1-hello-2.12.1.json` (docs/SPOOL.md, rule 3). */
function jobName(job: NewJob, now: Date): string {
  const time = now
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:]/g, '')
  const built = job.drvPath?.replace(/\.drv$/, '') ?? job.outPaths[0] ?? ''
  return `${time}-${randomBytes(6).toString('hex')}-${nameOf(built).slice(0, MAX_NAME)}.json`
}
