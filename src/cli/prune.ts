import type { ArgumentsCamelCase, Argv } from 'yargs'
import { keepHouse } from '../daemon/housekeeping.ts'
import { GcRoots } from '../nix/gc-roots.ts'
import { existingSpool } from '../spool/layout.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { becomeOwner } from './owner.ts'
import { print } from './print.ts'

export const command = 'prune'
export const describe = 'Apply retention now: old jobs in done/, abandoned temporary files, orphaned GC roots'

export const builder = (yargs: Argv) => withCommon(yargs)

export async function handler(args: ArgumentsCamelCase<CommonOptions>): Promise<void> {
  const config = await configFor(args)
  becomeOwner(config.spool)
  const spool = existingSpool(config.spool)
  const { jobs, temporaries, roots } = await keepHouse({ spool, roots: new GcRoots(config.gcroots), config })
  await print(
    `deleted ${jobs} old jobs, ${temporaries} abandoned temporary files, ${roots} orphaned GC roots\n`,
  )
}
