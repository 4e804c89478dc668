import type { ArgumentsCamelCase, Argv } from 'yargs'
import { DEFAULT_CONFIG_FILE } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { refuseMissingPrograms } from '../config/missing-programs.ts'
import { namedFile } from '../config/named-paths.ts'
import { refuseBadPlaces } from '../transport/place-refusal.ts'
import { refuseProxies } from '../transport/proxy-refusal.ts'
import { withCommon } from './options.ts'
import { print, printable } from './print.ts'
import { closedToService } from './service-files.ts'

export const command = 'check-config [file]'
export const describe = 'Check a configuration file; changes nothing'

export const builder = (yargs: Argv) =>
  withCommon(yargs).positional('file', {
    type: 'string',
    describe: `The file [default: --config, $NIX_UPLOAD_CONFIG or ${DEFAULT_CONFIG_FILE}]`,
  })

export async function handler(
  args: ArgumentsCamelCase<{ file: string | undefined; config: string | undefined }>,
): Promise<void> {
  const path = args.file ?? namedFile(args.config) ?? DEFAULT_CONFIG_FILE
  const config = await loadConfig({ config: path }, {})
  const destinations = config.destinations.map(({ name, to }) => `  ${name}: ${printable(to)}\n`)
  refuseMissingPrograms(config.destinations)
  refuseBadPlaces(config.destinations)
  refuseProxies(config.destinations)
  const warnings = [...config.warnings, ...(await closedToService(config))]
  for (const warning of warnings) process.stderr.write(`${printable(warning)}\n`)
  await print(`${printable(path)} is valid. Destinations:\n${destinations.join('')}`)
}
