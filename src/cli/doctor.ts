import { accessSync, constants } from 'node:fs'
import { resolve } from 'node:path'
import type { ArgumentsCamelCase, Argv } from 'yargs'
import { type Config, DEFAULT_CONFIG_FILE } from '../config/config.ts'
import { namedFile } from '../config/named-paths.ts'
import { codeOf, EXIT, UserError } from '../util/user-error.ts'
import { type Check, quoted, toType, unseen } from './doctor/check.ts'
import { withRemedyForHere } from './doctor/nixos.ts'
import { configFor, type DestinationOptions, withDestination } from './options.ts'
import { colour, counted, print, printable, printableLines, printJson, say } from './print.ts'

export const command = 'doctor'
export const describe = 'Check for common problems, and say how to fix them'

export const builder = (yargs: Argv) =>
  withDestination(yargs)
    .option('user', {
      type: 'string',
      describe: 'The user that the daemon runs as [default: that of the daemon, the unit or the spool]',
      requiresArg: true,
    })
    .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })
    .option('as-service', { type: 'boolean', default: false, hidden: true })
    .epilogue('Exits with 1 if a check failed. Run it as root: another user may not see everything')

type Options = DestinationOptions & { user: string | undefined; json: boolean; 'as-service': boolean }

const STYLES = { ok: 'green', warn: 'yellow', fail: 'red', skipped: 'dim' } as const

export async function handler(args: ArgumentsCamelCase<Options>): Promise<void> {
  const checks = (await checksFor(args)).map(withRemedyForHere)
  if (args.json) await printJson({ healthy: isHealthy(checks), checks })
  else await print(checks.map(asText).join(''))
  const count = (state: Check['state']) => checks.filter((check) => check.state === state).length
  if (!args.json) {
    const parts = [
      isHealthy(checks) ? 'healthy' : `${counted(count('fail'), 'check')} failed`,
      ...(count('warn') > 0 ? [counted(count('warn'), 'warning')] : []),
      ...(count('skipped') > 0 ? [`${counted(count('skipped'), 'check')} skipped`] : []),
    ]
    say(parts.join(', '))
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
    const isOthers = process.geteuid?.() !== 0 && !args['as-service']
    if (isOthers && !canRead(namedFile(args.config) ?? DEFAULT_CONFIG_FILE))
      return [unseen(name, error.message)]
    const remedy = remedyOf(args)
    return [{ name, state: 'fail', what: error.message, remedy }]
  }
  const { allChecks, checksBeforeInit, isBeforeInit, patientOf, serviceChecks } = await import(
    './doctor/checks.ts'
  )
  const patient = await patientOf(config, args['as-service'] ? `${process.getuid?.()}` : args.user)
  if (args['as-service']) return await serviceChecks(patient)
  const what = config.source ?? 'no file: the defaults'
  const isNew = args.to === undefined && (await isBeforeInit(patient))
  if (isNew) return [{ name, state: 'ok', what }, ...(await checksBeforeInit(patient))]
  return [{ name, state: 'ok', what }, ...(await allChecks(patient, sameConfig(args, config)))]
}

/** Options that make another process load the same configuration, in any environment. */
function sameConfig(args: Options, config: Config): string[] {
  const flags = { to: args.to, 'secret-key-file': args['secret-key-file'], config: namedFile(args.config) }
  const given = Object.entries(flags).flatMap(([flag, value]) => {
    if (value === undefined) return []
    return [`--${flag}`, flag === 'to' ? value : resolve(value)]
  })
  return ['--spool', config.spool, ...given]
}

/** The service must be able to read it, too, even if everybody else can. */
function remedyOf({ config = DEFAULT_CONFIG_FILE, 'as-service': isService }: Options): string {
  if (!isService || canRead(config)) {
    return '`man nix-upload.toml` has all keys (docs/CONFIGURATION.md); `nix-upload check-config` checks the file alone'
  }
  const file = quoted(resolve(config))
  return toType('Let the service read it', `chgrp ${process.getgid?.()} ${file}`, `chmod g+r ${file}`)
}

function canRead(file: string): boolean {
  try {
    accessSync(file, constants.R_OK)
    return true
  } catch (error) {
    return codeOf(error) === 'ENOENT'
  }
}

function asText({ name, state, what, remedy }: Check): string {
  const label = colour(STYLES[state], state.padEnd(7))
  const lines = printableLines(what)
  if (remedy === undefined || state === 'ok') return `${label}  ${name}: ${lines}\n`
  const [first, ...more] = remedy.split('\n').map(printable)
  const rest = more.map((line) => `           ${line}\n`).join('')
  return `${label}  ${name}: ${lines}\n         ${colour('bold', '→')} ${first}\n${rest}`
}
