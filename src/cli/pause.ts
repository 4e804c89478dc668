import type { ArgumentsCamelCase, Argv } from 'yargs'
import { existingSpool } from '../spool/layout.ts'
import { pause } from '../spool/pause.ts'
import { knownDestination } from './known-destination.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { becomeOwner } from './owner.ts'
import { say } from './print.ts'

export const command = 'pause [destination]'
export const describe = 'Stop claiming jobs; running copies finish, hooks go on queueing'

export const builder = (yargs: Argv) =>
  withCommon(yargs).positional('destination', { type: 'string', describe: 'Only for this destination' })

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { destination: string | undefined }>,
): Promise<void> {
  const config = await configFor(args)
  becomeOwner(config.spool)
  const destination = knownDestination(config, args.destination)
  pause(existingSpool(config.spool), destination)
  say(`paused; \`nix-upload resume${destination === undefined ? '' : ` ${destination}`}\` goes on`)
}
