import yargs from 'yargs'
import { codeOf, EXIT, UserError, wordsOf } from '../util/user-error.ts'
import { version } from '../util/version.ts'
import * as backfill from './backfill.ts'
import * as checkConfig from './check-config.ts'
import * as doctor from './doctor.ts'
import * as drain from './drain.ts'
import * as enqueue from './enqueue.ts'
import * as exec from './exec.ts'
import * as forget from './forget.ts'
import * as init from './init.ts'
import * as list from './list.ts'
import { STDIN } from './options.ts'
import * as pause from './pause.ts'
import { printable, say } from './print.ts'
import * as prune from './prune.ts'
import * as requeue from './requeue.ts'
import * as resume from './resume.ts'
import * as show from './show.ts'
import * as status from './status.ts'
import * as uninstall from './uninstall.ts'
import * as wait from './wait.ts'
import * as watch from './watch.ts'

/**
 * Runs the command line; the process's exit code is set, not returned.
 * @param args Without the program's name.
 */
export async function main(args: readonly string[]): Promise<void> {
  // `nix-upload list | head`: whoever read us has enough.
  process.stdout.on('error', (error) => {
    if (codeOf(error) === 'EPIPE') process.exit(EXIT.done)
    throw error
  })
  try {
    await parser(args).parseAsync()
  } catch (error) {
    await fail(isUsageError(error) ? usageError(error.message) : error)
  }
}

/** The command line's grammar, which help and the manual pages are made from. */
export function parser(args: readonly string[]) {
  return yargs(withStdin(args))
    .scriptName('nix-upload')
    .usage(
      '$0 <command>\n\nUploads what Nix builds, without making builds wait: the post-build hook writes one file a build',
    )
    .command(init)
    .command(enqueue)
    .command(watch)
    .command(drain)
    .command(status)
    .command(list)
    .command(show)
    .command(requeue)
    .command(forget)
    .command(wait)
    .command(exec)
    .command(backfill)
    .command(prune)
    .command(pause)
    .command(resume)
    .command(doctor)
    .command(uninstall)
    .command(checkConfig)
    .completion('completion', 'Print a completion script for the shell in $SHELL: bash, zsh or fish')
    .demandCommand(1, 'which command?')
    .recommendCommands()
    .strict()
    .version(version())
    .alias('h', 'help')
    .epilogue('Exit codes: 0 done, 1 failed, 2 usage, 75 try later, 78 bad configuration')
    .wrap(Math.min(110, process.stdout.columns || 100))
    .fail((message, error) => {
      throw error ?? usageError(message)
    })
}

/** yargs throws some complaints about the command line (a flag without its value) and hands over the others. */
function isUsageError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'YError'
}

function usageError(message: string): UserError {
  const words = message.replace(/^Not enough non-option arguments: .*/, 'an argument is missing')
  const help = 'Type `nix-upload --help` for the commands, `nix-upload COMMAND --help` for one'
  return new UserError(`${words}\n${help}`, EXIT.usage)
}

/** yargs drops a lone `-` without a word. What comes behind `--` is not ours. */
function withStdin(args: readonly string[]): string[] {
  const end = args.includes('--') ? args.indexOf('--') : args.length
  return args.map((arg, at) => (arg === '-' && at < end ? STDIN : arg))
}

async function fail(error: unknown): Promise<void> {
  if (error instanceof UserError) {
    say(`nix-upload: ${error.message.split('\n').map(printable).join('\n')}`)
    process.exitCode = error.exitCode
  } else if (codeOf(error) !== undefined) {
    const { whoMay } = await import('./user.ts')
    say(`nix-upload: ${printable(wordsOf(error) + (await whoMay(error)))}`)
    process.exitCode = EXIT.failed
  } else {
    say('nix-upload: this is a bug of nix-upload; no job is lost by it. Please report it with what follows:')
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    say(text.split('\n').map(printable).join('\n'))
    process.exitCode = EXIT.failed
  }
}
