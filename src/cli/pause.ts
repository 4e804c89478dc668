import { pause } from '../spool/pause.ts'
import { type PauseArguments, pauseTarget, withPauseTarget } from './pause-target.ts'
import { say } from './print.ts'

export const command = 'pause [destination]'
export const describe = 'Stop claiming jobs; running copies finish, hooks go on queueing'

export const builder = withPauseTarget

export async function handler(args: PauseArguments): Promise<void> {
  const [spool, destination] = await pauseTarget(args)
  pause(spool, destination)
  say(`paused; \`nix-upload resume${destination === undefined ? '' : ` ${destination}`}\` goes on`)
}
