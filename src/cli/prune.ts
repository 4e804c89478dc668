import type { ArgumentsCamelCase, Argv } from 'yargs'
import { keepHouse } from '../daemon/housekeeping.ts'
import { GcRoots } from '../nix/gc-roots.ts'
import { storeDirectory } from '../nix/local-store.ts'
import { existingSpool } from '../spool/layout.ts'
import { protect } from '../spool/protect.ts'
import { type Stuck, unlessStuck } from '../spool/stuck.ts'
import { EXIT, remedyFor, wordsOf } from '../util/user-error.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { becomeOwner } from './owner.ts'
import { counted, print, printable, say } from './print.ts'
import { tryToSync, tryToTell } from './tell-collector.ts'

export const command = 'prune'
export const describe = 'Apply retention now: old jobs in done/, abandoned temporary files, orphaned GC roots'

export const builder = (yargs: Argv) => withCommon(yargs)

/** A running garbage collection is told of new roots in groups of this many paths. */
const TOLD_MAX = 10_000

/** Reports a failure; the command then fails at its end. */
function sayStuck({ name, error }: Stuck): void {
  process.exitCode = EXIT.failed
  say(`nix-upload: ${printable(name)} is left alone: ${printable(wordsOf(error))}${remedyFor(error)}`)
}

export async function handler(args: ArgumentsCamelCase<CommonOptions>): Promise<void> {
  const config = await configFor(args)
  const storeDir = await storeDirectory()
  const becomeCaller = becomeOwner(config.spool)
  const spool = existingSpool(config.spool)
  const gcRoots = new GcRoots(config.gcroots)
  const untold: string[] = []
  const { jobs, temporaries, roots } = await keepHouse({
    spool,
    roots: gcRoots,
    config,
    protect: (state, job) => {
      const act = () => protect(spool, gcRoots, storeDir, state, job)
      for (const path of unlessStuck(job, act, sayStuck) ?? [])
        if (untold.length < TOLD_MAX) untold.push(path)
    },
    onStuck: sayStuck,
  })
  becomeCaller()
  if (untold.length > 0) await tryToSync(gcRoots)
  await tryToTell(untold)
  await print(
    `deleted ${counted(jobs, 'old job')}, ${counted(temporaries, 'abandoned temporary file')}, ${counted(roots, 'orphaned GC root')}\n`,
  )
}
