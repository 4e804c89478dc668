import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ArgumentsCamelCase, Argv } from 'yargs'
import { LONGEST_WAIT_MS } from '../util/duration.ts'
import { EXIT } from '../util/user-error.ts'
import { configFor, type DestinationOptions, durationOf, withDestination } from './options.ts'
import { say } from './print.ts'

export const command = 'drain'
export const describe = 'Deliver the waiting jobs, then exit'

export const builder = (yargs: Argv) =>
  withDestination(yargs)
    .option('linger', {
      type: 'string',
      describe:
        'While a job must wait, stay at most this long, such as 30m, and try the job again when it is due',
      requiresArg: true,
    })
    .epilogue('Exits with 0 if all jobs are done, 1 if a job failed, 75 if a job must wait')

export async function handler(
  args: ArgumentsCamelCase<DestinationOptions & { linger: string | undefined }>,
): Promise<void> {
  const { linger } = args
  const lingerMs = linger === undefined ? undefined : durationOf('--linger', linger, LONGEST_WAIT_MS)
  const config = await configFor(args)
  const [{ makeLog }, { serve }] = await Promise.all([
    import('../daemon/log.ts'),
    import('../daemon/service.ts'),
  ])
  const stay = lingerMs === undefined ? 'idle' : { lingerMs }
  const { done, failed, isWaiting } = await serve(config, await makeLog(config.logLevel), stay)
  const parts = [
    `${done} done`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(isWaiting ? ['some must wait'] : []),
  ]
  // The log is written at the end of a turn, and this must be the last line.
  await nextTurn()
  say(`nix-upload: ${parts.join(', ')}`)
  if (failed > 0) process.exitCode = EXIT.failed
  else if (isWaiting) process.exitCode = EXIT.tryLater
}
