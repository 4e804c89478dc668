import type { ArgumentsCamelCase, Argv } from 'yargs'
import { configFor, type DestinationOptions, withDestination } from './options.ts'

export const command = 'watch'
export const describe = 'Run the daemon: deliver jobs as they arrive, until SIGTERM'

export const builder = (yargs: Argv) => withDestination(yargs)

export async function handler(args: ArgumentsCamelCase<DestinationOptions>): Promise<void> {
  const config = await configFor(args)
  const [{ makeLog }, { serve }] = await Promise.all([
    import('../daemon/log.ts'),
    import('../daemon/service.ts'),
  ])
  await serve(config, await makeLog(config.logLevel), 'stopped', () => configFor(args))
}
