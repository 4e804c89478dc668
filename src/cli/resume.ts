import type { ArgumentsCamelCase, Argv } from 'yargs'
import { existingSpool } from '../spool/layout.ts'
import { resume } from '../spool/pause.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { say } from './print.ts'

export const command = 'resume'
export const describe = 'Go on after a pause'

export const builder = (yargs: Argv) => withCommon(yargs)

export async function handler(args: ArgumentsCamelCase<CommonOptions>): Promise<void> {
  const config = await configFor(args)
  say(resume(existingSpool(config.spool)) ? 'resumed' : 'it was not paused')
}
