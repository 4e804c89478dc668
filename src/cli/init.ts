import type { ArgumentsCamelCase, Argv } from 'yargs'
import type { InitOptions } from './init/init-options.ts'
import type { Settled } from './init/settled.ts'
import { withCommon } from './options.ts'
import { print, printable, say } from './print.ts'

export const command = 'init'
export const describe = 'Create a key, a configuration and a spool, and print the lines for nix.conf'

export const builder = (yargs: Argv) =>
  withCommon(yargs)
    .option('to', {
      type: 'string',
      describe: 'The store URL to upload to; on a terminal, init asks for it',
      requiresArg: true,
    })
    .option('sign', { type: 'boolean', describe: 'Whether to sign uploads [default: yes]' })
    .option('key-name', { type: 'string', describe: 'The name of a new key', requiresArg: true })
    .option('secret-key-file', {
      type: 'string',
      describe:
        'The key to sign with; created if it does not exist [default: cache.key beside the configuration]',
      requiresArg: true,
    })
    .option('user', {
      type: 'string',
      describe: 'The user that the daemon runs as [default: nix-upload, or the user who runs init]',
      requiresArg: true,
    })
    .option('install', { type: 'boolean', describe: 'Also create the user, and install the systemd units' })
    .option('root', {
      type: 'string',
      describe: 'Write below this directory and run nothing, for packages and images',
      requiresArg: true,
    })
    .option('dry-run', {
      type: 'boolean',
      default: false,
      describe: 'Only show the files and commands',
    })
    .option('yes', { alias: 'y', type: 'boolean', default: false, describe: 'Ask nothing' })
    .epilogue('init keeps an existing key and configuration, so it can be run again')

export async function handler(args: ArgumentsCamelCase<InitOptions>): Promise<void> {
  const [{ settle }, { stepsFor }, { adviceFor }, { Asker }] = await Promise.all([
    import('./init/settle.ts'),
    import('./init/plan.ts'),
    import('./init/advice.ts'),
    import('./init/asker.ts'),
  ])
  const canAsk =
    !args.yes && !args['dry-run'] && process.stdin.isTTY === true && process.stderr.isTTY === true
  const asker = canAsk ? new Asker() : undefined
  try {
    const { settled, notes, wasAsked } = await settle(args, asker)
    for (const note of notes) say(printable(note))
    const steps = stepsFor(settled)
    if (args['dry-run']) {
      await print(`${steps.map((step) => step.preview()).join('\n')}\n`)
    } else {
      if (wasAsked) say(`\n${steps.map((step) => step.preview().split(':\n')[0]).join('\n')}\n`)
      if (wasAsked && asker && !(await asker.yesOrNo('Go ahead?', true))) return say('nothing was written')
      for (const step of steps) say(printable(await step.perform()))
      await refuseOwnMistake(settled)
    }
    await print(`\n${adviceFor(settled)}`)
  } finally {
    asker?.close()
  }
}

/** The configuration that init writes must be valid; one that exists already may be wrong. */
async function refuseOwnMistake({ isNixOs, root, configFile }: Settled): Promise<void> {
  if (isNixOs) return
  const [{ loadConfig }, { join }] = await Promise.all([import('../config/load.ts'), import('node:path')])
  await loadConfig({ config: join(root, configFile) }, {})
}
