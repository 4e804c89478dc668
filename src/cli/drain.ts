import type { ArgumentsCamelCase, Argv } from 'yargs'
import { EXIT } from '../config/user-error.ts'
import { configFor, type DestinationOptions, withDestination } from './options.ts'
import { say } from './print.ts'

export const command = 'drain'
export const describe = 'Deliver what is there, then exit'

export const builder = (yargs: Argv) =>
  withDestination(yargs).epilogue(
    'Exits with 0 when all is done, 1 when something failed, 75 when something must wait',
  )

export async function handler(args: ArgumentsCamelCase<DestinationOptions>): Promise<void> {
  const config = await configFor(args)
  const [{ makeLog }, { serve }] = await Promise.all([
    import('../daemon/log.ts'),
    import('../daemon/service.ts'),
  ])
  const { done, failed, isWaiting } = await serve(config, await makeLog(config.logLevel), 'idle')
  const parts = [
    `${done} done`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(isWaiting ? ['some must wait'] : []),
  ]
  say(`nix-upload: ${parts.join(', ')}`)
  if (failed > 0) process.exitCode = EXIT.failed
  else if (isWaiting) process.exitCode = EXIT.tryLater
}
