import type { ArgumentsCamelCase, Argv } from 'yargs'
import { snapshot } from '../daemon/status/snapshot.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { print, printJson } from './print.ts'
import { asJson } from './status-json.ts'
import { asTable } from './status-table.ts'

export const command = 'status'
export const describe = 'Show the waiting jobs by destination, how long they wait, and why'

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })
    .option('watch', { type: 'boolean', default: false, describe: 'Keep showing it, until q or Ctrl-C' })

export async function handler(
  args: ArgumentsCamelCase<CommonOptions & { json: boolean; watch: boolean }>,
): Promise<void> {
  const config = await configFor(args)
  if (args.watch) await (await import('./status-watch.ts')).watchStatus(config, args.json)
  else if (args.json) await printJson(asJson(snapshot(config)))
  else await print(asTable(snapshot(config)))
}
