import { resume } from '../spool/pause.ts'
import { type PauseArguments, pauseTarget, withPauseTarget } from './pause-target.ts'
import { say } from './print.ts'

export const command = 'resume [destination]'
export const describe = 'Go on after a pause'

export const builder = withPauseTarget

export async function handler(args: PauseArguments): Promise<void> {
  say(resume(...(await pauseTarget(args))) ? 'resumed' : 'it was not paused')
}
