import { resolve } from 'node:path'
import type { ArgumentsCamelCase, Argv } from 'yargs'
import type { Config } from '../config/config.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import type { Check } from './doctor/check.ts'
import { withRemedyForHere } from './doctor/nixos.ts'
import { configFor, type DestinationOptions, withDestination } from './options.ts'
import { colour, counted, print, printable, printJson, say } from './print.ts'

export const command = 'doctor'
export const describe = 'Check everything that is usually wrong, each with its remedy'

export const builder = (yargs: Argv) =>
  withDestination(yargs)
    .option('user', {
      type: 'string',
      describe:
        'The user that the daemon runs as [default: found out from the daemon, the unit or the spool]',
      requiresArg: true,
    })
    .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })
    .option('as-service', { type: 'boolean', default: false, hidden: true })
    .epilogue('Exits with 1 when a check failed; run it as root, or it sees only what its user may')

type Options = DestinationOptions & { user: string | undefined; json: boolean; 'as-service': boolean }

const STYLES = { ok: 'green', warn: 'yellow', fail: 'red', skipped: 'dim' } as const

export async function handler(args: ArgumentsCamelCase<Options>): Promise<void> {
  const checks = (await checksFor(args)).map(withRemedyForHere)
  if (args.json) await printJson({ healthy: isHealthy(checks), checks })
  else await print(checks.map(asText).join(''))
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length
  if (!args.json) {
    const warnings = count('warn') > 0 ? `, ${counted(count('warn'), 'warning')}` : ''
    say(isHealthy(checks) ? `healthy${warnings}` : `${counted(count('fail'), 'check')} failed${warnings}`)
  }
  if (!isHealthy(checks)) process.exitCode = EXIT.failed
}

function isHealthy(checks: readonly Check[]): boolean {
  return checks.every(({ state }) => state !== 'fail')
}

async function checksFor(args: Options): Promise<Check[]> {
  const name = args['as-service'] ? 'configuration, as the service reads it' : 'configuration'
  let config: Config
  try {
    config = await configFor(args)
  } catch (error) {
    if (!(error instanceof UserError) || error.exitCode === EXIT.usage) throw error
    const remedy = 'docs/CONFIGURATION.md has every key; `nix-upload check-config` looks at the file alone'
    return [{ name, state: 'fail', what: error.message, remedy }]
  }
  const { allChecks, patientOf, serviceChecks } = await import('./doctor/checks.ts')
  const patient = await patientOf(config, args['as-service'] ? `${process.getuid?.()}` : args.user)
  if (args['as-service']) return await serviceChecks(patient)
  const what = config.source ?? 'no file: the defaults'
  return [{ name, state: 'ok', what }, ...(await allChecks(patient, sameConfig(args, config)))]
}

/** What makes another process load the same configuration, whatever its environment. */
function sameConfig(args: Options, config: Config): string[] {
  const flags = { to: args.to, 'secret-key-file': args['secret-key-file'], config: args.config }
  const given = Object.entries(flags).flatMap(([flag, value]) => {
    if (value === undefined) return []
    return [`--${flag}`, flag === 'to' ? value : resolve(value)]
  })
  return ['--spool', config.spool, ...given]
}

function asText({ name, state, what, remedy }: Check): string {
  const label = colour(STYLES[state], state.padEnd(7))
  const lines = what.split('\n').map(printable).join('\n')
  return `${label}  ${name}: ${lines}\n${remedy === undefined || state === 'ok' ? '' : `         ${colour('bold', '→')} ${printable(remedy)}\n`}`
}
