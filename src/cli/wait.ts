import { setTimeout as sleep } from 'node:timers/promises'
import type { ArgumentsCamelCase, Argv } from 'yargs'
import { livingReport } from '../daemon/identity.ts'
import { existingSpool, type Spool } from '../spool/layout.ts'
import { isPaused } from '../spool/pause.ts'
import { count, hasWork } from '../spool/survey.ts'
import { formatDuration } from '../util/duration.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { type CommonOptions, configFor, durationOf, withCommon } from './options.ts'
import { counted, say } from './print.ts'

export const command = 'wait'
export const describe = 'Wait until no job waits any more, as in CI'

const POLL_MS = 200

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .option('timeout', {
      type: 'string',
      describe: 'Give up after this long, such as 10m',
      requiresArg: true,
    })
    .epilogue('Exits with 0 if no job waits, 1 if a job failed meanwhile, 75 if the time is over')

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { timeout: string | undefined }>,
): Promise<void> {
  const config = await configFor(args)
  const spool = existingSpool(config.spool)
  const { timeout } = args
  const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : durationOf('--timeout', timeout)
  const failedBefore = count(spool, 'failed').jobs
  if (hasWork(spool)) warnOfStandstill(spool)
  const deadline = performance.now() + timeoutMs
  while (hasWork(spool)) {
    if (performance.now() >= deadline) {
      const waiting = count(spool, 'new').jobs + count(spool, 'cur').jobs
      throw new UserError(
        `still waiting after ${formatDuration(timeoutMs)}: ${counted(waiting, 'job')}; \`nix-upload status\` says why`,
        EXIT.tryLater,
      )
    }
    await sleep(POLL_MS)
  }
  const failed = count(spool, 'failed').jobs - failedBefore
  if (failed > 0) throw new UserError(`${counted(failed, 'job')} failed; \`nix-upload list failed\` says why`)
}

function warnOfStandstill(spool: Spool): void {
  const stands = 'so the jobs may wait for ever'
  if (!livingReport(spool))
    say(`nix-upload: no daemon is running, ${stands}; \`nix-upload watch\` or its service delivers them`)
  if (isPaused(spool)) say(`nix-upload: the spool is paused, ${stands}; \`nix-upload resume\` goes on`)
}
