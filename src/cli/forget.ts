import type { ArgumentsCamelCase, Argv } from 'yargs'
import { livingReport } from '../daemon/identity.ts'
import { placeOf } from '../delivery/open-places.ts'
import { forgetDestination } from '../spool/forget.ts'
import { existingSpool, type Spool } from '../spool/layout.ts'
import { own } from '../util/own.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { becomeOwner } from './owner.ts'
import { print, printable, say } from './print.ts'

export const command = 'forget <destination>'
export const describe = 'Give up uploads to a destination that is not configured any more'

export const builder = (yargs: Argv) =>
  withCommon(yargs).positional('destination', {
    type: 'string',
    demandOption: true,
    describe: 'Its name, as `status` shows it',
  })

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { destination: string }>,
): Promise<void> {
  const { destination } = args
  const config = await configFor(args)
  if (config.destinations.some(({ name }) => name === destination)) {
    throw new UserError(
      `"${destination}" is configured: take it out of ${config.source ?? 'the configuration'} first, or pause it`,
      EXIT.usage,
    )
  }
  becomeOwner(config.spool)
  const spool = existingSpool(config.spool)
  refuseInUse(spool, destination)
  let forgotten = 0
  for (const name of forgetDestination(spool, destination, config.destinations.map(placeOf), new Date())) {
    await print(`${printable(name)}\n`)
    forgotten += 1
  }
  if (forgotten === 0) {
    say(
      `nix-upload: no job in new/ waits for "${destination}"; \`nix-upload status\` shows for what jobs wait`,
    )
  }
}

/** A daemon that was started before the configuration was changed has some of the jobs, and would go on with them. */
function refuseInUse(spool: Spool, destination: string): void {
  const report = livingReport(spool)
  if (!report || !own(report.destinations, destination)) return
  throw new UserError(
    `the running daemon, process ${report.pid}, still uploads to "${destination}": restart it first; \`nix-upload status\` says how`,
    EXIT.usage,
  )
}
