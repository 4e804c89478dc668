import type { ArgumentsCamelCase, Argv } from 'yargs'
import { existingSpool } from '../spool/layout.ts'
import { pause } from '../spool/pause.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { say } from './print.ts'

export const command = 'pause'
export const describe = 'Stop claiming jobs; running copies finish, hooks go on queueing'

export const builder = (yargs: Argv) => withCommon(yargs)

export async function handler(args: ArgumentsCamelCase<CommonOptions>): Promise<void> {
  const config = await configFor(args)
  pause(existingSpool(config.spool))
  say('paused; `nix-upload resume` goes on')
}
