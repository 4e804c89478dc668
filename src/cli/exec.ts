import { resolve } from 'node:path'
import type { ArgumentsCamelCase, Argv } from 'yargs'
import { type Config, embeddedDestination } from '../config/config.ts'
import { isCredential } from '../config/credential.ts'
import { keyFilesIn } from '../config/store-parameters.ts'
import { isBinaryCache, withoutPassword } from '../config/store-url.ts'
import { LONGEST_WAIT_MS } from '../util/duration.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { configFor, type DestinationOptions, durationOf, withDestination } from './options.ts'
import { printable, say } from './print.ts'

export const command = 'exec'
export const describe = 'Run a build and upload what it builds, as in CI: exec --to URL -- nix build'

export const builder = (yargs: Argv) =>
  withDestination(yargs)
    .parserConfiguration({ 'populate--': true })
    .usage(
      '$0 exec --to URL -- COMMAND...\n\nRun a build and upload what it builds, during the build and after it',
    )
    .option('spool', {
      type: 'string',
      describe: 'Use this spool and keep it [default: one of its own, not $NIX_UPLOAD_SPOOL]',
      requiresArg: true,
    })
    .option('linger', {
      type: 'string',
      default: '5m',
      describe:
        'After the build, stay at most this long while a job must wait, as for a destination that is down',
      requiresArg: true,
    })
    .example('$0 exec --to s3://my-cache --secret-key-file key -- nix build', 'In a CI job')
    .epilogue(
      'Exits with the status of the command. If that is 0: with 1 if an upload failed, with 75 if one must wait. If Nix ' +
        'would ignore the hook, it starts nothing and exits with 78',
    )

type Options = DestinationOptions & { linger: string }

export async function handler(args: ArgumentsCamelCase<Options>): Promise<void> {
  const given = args['--']
  const command = Array.isArray(given) ? given.map(String) : []
  if (command.length === 0) {
    throw new UserError('say what to run behind --, as in: nix-upload exec --to URL -- nix build', EXIT.usage)
  }
  const lingerMs = durationOf('--linger', args.linger, LONGEST_WAIT_MS)
  const config = await configFor(args)
  if (args.to === undefined && args.spool === undefined) refuseVanishing(config)
  await refuseUselessKeys(config)
  const [{ makeWorkspace }, { build }, { isKept }, { EarlySignals }] = await Promise.all([
    import('./exec/workspace.ts'),
    import('./exec/build.ts'),
    import('./exec/outcome.ts'),
    import('./exec/early-signals.ts'),
  ])
  const early = new EarlySignals()
  await warnOfUnsigned(config)
  early.throwIfAny()
  const kept = args.spool === undefined ? undefined : config.spool
  const workspace = makeWorkspace(kept, config.gcroots, process.env.NIX_UPLOAD_STRICT === '1')
  try {
    process.exitCode = await build(command, config, workspace, { lingerMs, early })
  } finally {
    if (isKept(workspace)) {
      workspace.leave()
      say(`nix-upload: ${howToGoOn(workspace.spool.root, workspace.gcroots, args)}`)
    } else workspace.discard()
    // Until now, a signal ended this process while it prepared this.
    early.endNow()
  }
}

/** The default destination is beside the spool, and the spool is removed at the end. */
function refuseVanishing({ destinations, spool }: Config): void {
  if (destinations.every(({ to }) => to !== embeddedDestination(spool))) return
  throw new UserError('say where to upload with --to URL, or in a configuration file', EXIT.usage)
}

/** Finds problems that would otherwise show up after an hour of building. */
async function refuseUselessKeys({ destinations }: Config): Promise<void> {
  const { publicKeyOf } = await import('../nix/secret-key.ts')
  for (const { secretKeyFile } of destinations) {
    if (secretKeyFile === undefined || isCredential(secretKeyFile)) continue
    try {
      publicKeyOf(secretKeyFile)
    } catch (error) {
      throw error instanceof UserError ? new UserError(error.message, EXIT.badConfig) : error
    }
  }
}

/** Nix takes no unsigned path from a cache, and only another machine would notice that. */
async function warnOfUnsigned({ destinations }: Config): Promise<void> {
  const unsigned = destinations.filter(
    ({ to, command, secretKeyFile }) =>
      !command && secretKeyFile === undefined && isBinaryCache(to) && keyFilesIn(to).length === 0,
  )
  if (unsigned.length === 0) return
  const { signingKeysOfNix } = await import('../nix/settings.ts')
  if ((await signingKeysOfNix()).length > 0) return
  const where = unsigned.map(({ to }) => printable(withoutPassword(to))).join(', ')
  say(
    `nix-upload: uploads to ${where} are not signed, and Nix takes no unsigned paths from a cache; sign them with --secret-key-file FILE`,
  )
}

/** A line to copy: it is kept nowhere else. */
function howToGoOn(spool: string, gcroots: string, args: Options): string {
  const flags = [
    ...(args.to === undefined ? [] : ['--to', args.to]),
    ...(args['secret-key-file'] === undefined ? [] : ['--secret-key-file', resolve(args['secret-key-file'])]),
    ...(args.config === undefined ? [] : ['--config', resolve(args.config)]),
  ]
  const env = `NIX_UPLOAD_SPOOL=${shellWord(spool)} NIX_UPLOAD_GCROOTS=${shellWord(gcroots)}`
  const line = `${env} nix-upload drain ${flags.map(shellWord).join(' ')}`
  return `the jobs that are left are kept in ${spool}. To go on with them:\n  ${line.trimEnd()}`
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]*$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
