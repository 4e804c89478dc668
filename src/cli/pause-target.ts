import type { ArgumentsCamelCase, Argv } from 'yargs'
import { existingSpool, type Spool } from '../spool/layout.ts'
import { knownDestination } from './known-destination.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { becomeOwner } from './owner.ts'

/** The arguments of `pause` and `resume`. */
export type PauseArguments = ArgumentsCamelCase<CommonOptions & { destination: string | undefined }>

/** Adds the argument `destination`. */
export const withPauseTarget = (yargs: Argv) =>
  withCommon(yargs).positional('destination', { type: 'string', describe: 'Only for this destination' })

/** The spool, and the destination if it is not all of them. From here on, the process is the spool's owner. */
export async function pauseTarget(args: PauseArguments): Promise<[Spool, string | undefined]> {
  const config = await configFor(args)
  becomeOwner(config.spool)
  const destination = knownDestination(config, args.destination)
  return [existingSpool(config.spool), destination]
}
