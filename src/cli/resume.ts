import type { ArgumentsCamelCase, Argv } from 'yargs'
import { existingSpool } from '../spool/layout.ts'
import { resume } from '../spool/pause.ts'
import { knownDestination } from './known-destination.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { becomeOwner } from './owner.ts'
import { say } from './print.ts'

export const command = 'resume [destination]'
export const describe = 'Go on after a pause'

export const builder = (yargs: Argv) =>
  withCommon(yargs).positional('destination', { type: 'string', describe: 'Only for this destination' })

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { destination: string | undefined }>,
): Promise<void> {
  const config = await configFor(args)
  becomeOwner(config.spool)
  const destination = knownDestination(config, args.destination)
  say(resume(existingSpool(config.spool), destination) ? 'resumed' : 'it was not paused')
}
