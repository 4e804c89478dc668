import type { ArgumentsCamelCase, Argv } from 'yargs'
import { GcRoots } from '../nix/gc-roots.ts'
import type { PathInfo } from '../nix/path-info.ts'
import type { NewJob } from '../spool/hand-over.ts'
import { openSpool, type Spool } from '../spool/layout.ts'
import { jobsIn } from '../spool/survey.ts'
import { partsOf } from '../util/parts.ts'
import { configFor, type DestinationOptions, durationOf, withDestination } from './options.ts'
import { asOwner } from './owner.ts'
import { counted, print, say } from './print.ts'
import { AT_ONCE, queue } from './queue.ts'

export const command = 'backfill'
export const describe =
  'Queue paths that were built here, were never queued, and are missing at a destination'

export const builder = (yargs: Argv) =>
  withDestination(yargs)
    .option('since', {
      type: 'string',
      demandOption: true,
      describe: 'Only paths that came into the store within this time, such as 2d',
      requiresArg: true,
    })
    .option('dry-run', { type: 'boolean', default: false, describe: 'Only print the store paths' })

export async function handler(
  args: ArgumentsCamelCase<DestinationOptions & { since: string; 'dry-run': boolean }>,
): Promise<void> {
  const config = await configFor(args)
  const sinceMs = durationOf('--since', args.since)
  const [{ allPathInfos }, { missingSomewhere }] = await Promise.all([
    import('../nix/path-info.ts'),
    import('./backfill/missing.ts'),
  ])
  const spool = asOwner(config.spool, () => openSpool(config.spool))
  const built = builtSince(await allPathInfos(), new Date(Date.now() - sinceMs))
  const queued = pathsQueued(spool)
  const candidates = built.filter(({ path }) => !queued.has(path))
  const missing = await missingSomewhere(
    config,
    candidates.map(({ path }) => path),
  )
  const jobs = jobsFor(candidates.filter(({ path }) => missing.has(path)))
  const ofAll = `${counted(built.length, 'path')} built here in that time`
  if (args['dry-run']) {
    await print(jobs.flatMap(({ outPaths }) => outPaths.map((path) => `${path}\n`)).join(''))
    return say(`nix-upload: ${counted(jobs.length, 'job')} would be queued, of ${ofAll}`)
  }
  const roots = new GcRoots(config.gcroots)
  roots.prepare()
  let queuedNow = 0
  for (const part of partsOf(jobs, AT_ONCE)) {
    const { names } = await queue(spool, roots, part)
    queuedNow += names.length
    await print(names.map((name) => `${name}\n`).join(''))
  }
  say(`nix-upload: ${counted(queuedNow, 'job')} queued, of ${ofAll}`)
}

/** Outputs of builds. Derivations are in the store too, but weren't built. */
function builtSince(infos: readonly PathInfo[], since: Date): PathInfo[] {
  return infos.filter(({ path, ultimate, registeredAt }) => {
    return ultimate && registeredAt >= since && !path.endsWith('.drv')
  })
}

function pathsQueued(spool: Spool): Set<string> {
  const jobs = [...jobsIn(spool, ['new', 'cur', 'failed'])]
  return new Set(jobs.flatMap(({ job }) => job?.outPaths ?? []))
}

/** A job for each derivation, as the hook would have written it. */
function jobsFor(infos: readonly PathInfo[]): NewJob[] {
  const byDeriver = Map.groupBy(infos, ({ deriver, path }) => deriver ?? path)
  return [...byDeriver.values()].map((outputs) => {
    const drvPath = outputs[0]?.deriver
    return { ...(drvPath === undefined ? {} : { drvPath }), outPaths: outputs.map(({ path }) => path) }
  })
}
