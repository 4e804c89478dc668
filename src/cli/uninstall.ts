import { existsSync, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ArgumentsCamelCase, Argv } from 'yargs'
import { type Config, DEFAULT_CONFIG_FILE } from '../config/config.ts'
import { namedFile } from '../config/named-paths.ts'
import { spoolIfThere } from '../spool/layout.ts'
import { count } from '../spool/survey.ts'
import { EXIT, UserError } from '../util/user-error.ts'
import { type CommonOptions, configFor, withCommon } from './options.ts'
import { counted, print, printable, say } from './print.ts'
import type { Installation } from './uninstall/plan.ts'

export const command = 'uninstall'
export const describe = 'Undo what init did: hook, nix.conf line, units'

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .option('dry-run', { type: 'boolean', default: false, describe: 'Only show what would be done' })
    .option('force', {
      type: 'boolean',
      default: false,
      describe: 'Uninstall even while jobs wait; they stay in the spool',
    })
    .option('purge', {
      type: 'boolean',
      default: false,
      describe: 'Also remove spool, GC roots, configuration, keys and user',
    })
    .option('yes', { alias: 'y', type: 'boolean', default: false, describe: 'Ask nothing' })
    .epilogue('Spool, configuration and keys stay, unless --purge is given; caches always stay')

type Options = CommonOptions & { 'dry-run': boolean; force: boolean; purge: boolean; yes: boolean }

export async function handler(args: ArgumentsCamelCase<Options>): Promise<void> {
  const [{ uninstallSteps }, { lastWords }] = await Promise.all([
    import('./uninstall/plan.ts'),
    import('./uninstall/last-words.ts'),
  ])
  const installation = await installationFor(args)
  refuseOthers(installation)
  if (!args.force) refuseWaiting(installation)
  const steps = uninstallSteps(installation, args.purge)
  if (args['dry-run']) {
    await print(`${steps.map((step) => step.preview()).join('\n')}\n`)
  } else {
    if (
      !(await isMeant(
        args,
        steps.map((step) => step.preview().split(':\n')[0] ?? ''),
      ))
    ) {
      return say('nothing was changed')
    }
    for (const step of steps) say(printable(await step.perform()))
  }
  await print(`\n${await lastWords(installation, { purge: args.purge, isDone: !args['dry-run'] })}`)
}

async function installationFor(args: Options): Promise<Installation> {
  const [{ ownProgram }, { findUser }] = await Promise.all([
    import('./init/service-program.ts'),
    import('./user.ts'),
  ])
  const configFile = resolve(namedFile(args.config) ?? DEFAULT_CONFIG_FILE)
  return {
    config: await configOrDefault(args),
    configFile,
    isSystemWide: configFile === DEFAULT_CONFIG_FILE,
    isPackaged: ownProgram().isPackaged,
    hasSystemd: existsSync('/run/systemd/system'),
    hasUser: (await findUser('nix-upload')) !== undefined,
  }
}

/** A mistake in the configuration must not prevent an uninstall. Only the default directories are removed then. */
async function configOrDefault(args: Options): Promise<Config> {
  try {
    return await configFor(args)
  } catch (error) {
    if (!(error instanceof UserError) || error.exitCode !== EXIT.badConfig || args.purge) throw error
    say(`${printable(error.message)}\nso the default directories are used`)
    return await configFor({ config: '/dev/null', spool: args.spool })
  }
}

function refuseOthers({ configFile, isSystemWide }: Installation): void {
  const isModules = existsSync(configFile) && realpathSync(configFile).startsWith('/nix/store/')
  if (isModules || (isSystemWide && existsSync('/etc/NIXOS'))) {
    throw new UserError(
      'on NixOS, the system configuration installs nix-upload: remove services.nix-upload, then run nixos-rebuild switch',
    )
  }
  if (isSystemWide && process.getuid?.() !== 0) {
    throw new UserError('this changes the system, so root must run it: sudo nix-upload uninstall', EXIT.usage)
  }
}

/** Waiting jobs would not be delivered any more. */
function refuseWaiting({ config }: Installation): void {
  const spool = spoolIfThere(config.spool)
  const jobs = spool ? count(spool, 'new').jobs + count(spool, 'cur').jobs : 0
  if (jobs === 0) return
  throw new UserError(
    `${counted(jobs, 'job')} ${jobs === 1 ? 'waits' : 'wait'} in ${config.spool}, and nothing was changed. \`nix-upload wait\` ` +
      'returns when they are delivered, `nix-upload status` says why they wait; --force uninstalls all the same',
    EXIT.tryLater,
  )
}

async function isMeant(args: Options, what: readonly string[]): Promise<boolean> {
  if (args.yes || process.stdin.isTTY !== true || process.stderr.isTTY !== true) return true
  const { Asker } = await import('./init/asker.ts')
  const asker = new Asker()
  try {
    say(`${what.map(printable).join('\n')}\n`)
    return await asker.yesOrNo('Go ahead?', false)
  } finally {
    asker.close()
  }
}
