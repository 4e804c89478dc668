import { randomBytes } from 'node:crypto'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import type { GcRoots } from '../nix/gc-roots.ts'
import { nameOf } from '../nix/store-path.ts'
import type { Spool } from './layout.ts'
import { fsyncDirectory, unlinkIfThere, writeTemporary } from './write.ts'

/** What a new job is to upload. */
export interface NewJob {
  drvPath?: string
  outPaths: string[]
}

/** Job names stay this short so that name and `.HASH` of a GC root fit into a file name (255 bytes). */
const MAX_NAME = 120

/**
 * Hands jobs over as the hook does (docs/SPOOL.md, T1), with one fsync a directory for all of them.
 * @returns The jobs' names, in the order of `jobs`; all of them are durable.
 * @throws A system error; then none of them is queued, or, where it came from the last fsync, all may be.
 */
export function handOver(spool: Spool, roots: GcRoots, jobs: readonly NewJob[], now = new Date()): string[] {
  const written: { name: string; temporary: string; held: readonly string[] }[] = []
  try {
    for (const job of jobs) {
      const name = jobName(job, now)
      const held = job.outPaths.length > 0 || job.drvPath === undefined ? job.outPaths : [job.drvPath]
      roots.hold(name, held)
      written.push({ name, held, temporary: writeTemporary(spool, contentOf(job, now), true) })
    }
    if (roots.directory !== undefined) fsyncDirectory(roots.directory)
  } catch (error) {
    for (const { name, temporary, held } of written) {
      unlinkIfThere(temporary)
      roots.release(name, held)
    }
    throw error
  }
  for (const { name, temporary } of written) renameSync(temporary, join(spool.new, name))
  fsyncDirectory(spool.new)
  return written.map(({ name }) => name)
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
