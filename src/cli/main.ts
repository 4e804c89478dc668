import { codeOf, EXIT } from '../util/user-error.ts'
import { COMMAND_NAMES, helpOf, parser } from './grammar.ts'
import { printableLines, say } from './print.ts'
import { isMisuse, usageError } from './usage.ts'

/**
 * Runs the command line; the process's exit code is set, not returned.
 * @param given Without the program's name.
 */
export async function main(given: readonly string[]): Promise<void> {
  // With `nix-upload list | head`, the reader has ended.
  process.stdout.on('error', (error) => {
    if (codeOf(error) === 'EPIPE') process.exit(EXIT.done)
    throw error
  })
  const args = given[0] === 'help' ? [...given.slice(1), '--help'] : given
  try {
    await (await parser(args)).parseAsync()
  } catch (error) {
    await fail(isMisuse(error) ? await misused(error.message, args) : error)
  }
}

async function misused(message: string, args: readonly string[]): Promise<Error> {
  const command = args.find((arg) => COMMAND_NAMES.includes(arg))
  const help = await helpOf(command === undefined ? [] : [command])
  return usageError(message, { args, command, commands: COMMAND_NAMES, help })
}

async function fail(error: unknown): Promise<void> {
  const { foreseen } = await import('./foreseen.ts')
  const known = await foreseen(error)
  process.exitCode = known?.exitCode ?? EXIT.failed
  if (known) return say(`nix-upload: ${printableLines(known.message)}`)
  say('nix-upload: this is a bug in nix-upload; no job is lost. Please report it with the following text:')
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  say(printableLines(text))
}
