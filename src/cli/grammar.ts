import yargs, { type Argv } from 'yargs'
import { version } from '../util/version.ts'
import { STDIN } from './options.ts'
import { Misuse } from './usage.ts'

/** The commands, in the order of the help text. Each is loaded when it is used: `status` needs no code of `exec`. */
const COMMANDS: Readonly<Record<string, (yargs: Argv) => Promise<Argv>>> = {
  init: async (yargs) => yargs.command(await import('./init.ts')),
  enqueue: async (yargs) => yargs.command(await import('./enqueue.ts')),
  watch: async (yargs) => yargs.command(await import('./watch.ts')),
  drain: async (yargs) => yargs.command(await import('./drain.ts')),
  status: async (yargs) => yargs.command(await import('./status.ts')),
  list: async (yargs) => yargs.command(await import('./list.ts')),
  show: async (yargs) => yargs.command(await import('./show.ts')),
  requeue: async (yargs) => yargs.command(await import('./requeue.ts')),
  forget: async (yargs) => yargs.command(await import('./forget.ts')),
  wait: async (yargs) => yargs.command(await import('./wait.ts')),
  exec: async (yargs) => yargs.command(await import('./exec.ts')),
  backfill: async (yargs) => yargs.command(await import('./backfill.ts')),
  prune: async (yargs) => yargs.command(await import('./prune.ts')),
  pause: async (yargs) => yargs.command(await import('./pause.ts')),
  resume: async (yargs) => yargs.command(await import('./resume.ts')),
  doctor: async (yargs) => yargs.command(await import('./doctor.ts')),
  uninstall: async (yargs) => yargs.command(await import('./uninstall.ts')),
  'check-config': async (yargs) => yargs.command(await import('./check-config.ts')),
  completion: async (yargs) => yargs.command(await import('./completion.ts')),
}

/** The names of all commands. */
export const COMMAND_NAMES: readonly string[] = Object.keys(COMMANDS)

/**
 * The command line's grammar. Help and the manual pages are made from it.
 * @param args If the first is a command, the grammar has only that one.
 */
export async function parser(args: readonly string[]): Promise<Argv> {
  const grammar = yargs(withStdin(args))
    .scriptName('nix-upload')
    .usage(
      '$0 <command>\n\nUploads what Nix builds, without making builds wait: the post-build hook writes one file for each build',
    )
    .demandCommand(1, 'which command?')
    .strict()
    // All that we say is in English, and so is what yargs says.
    .detectLocale(false)
    .check(refuseRepeated)
    .version(version())
    .alias('h', 'help')
    .epilogue('Exit codes: 0 done, 1 failed, 2 usage, 75 try later, 78 bad configuration')
    .wrap(Math.min(110, process.stdout.columns || 100))
    .fail((message, error) => {
      throw error ?? new Misuse(message)
    })
  const asked = Object.entries(COMMANDS).filter(([name]) => name === args[0])
  for (const [, add] of asked.length > 0 ? asked : Object.entries(COMMANDS)) await add(grammar)
  return grammar
}

/**
 * The text of `--help`, unwrapped.
 * @param command One command, or none.
 */
export async function helpOf(command: readonly string[]): Promise<string> {
  const args = [...command, '--help']
  // With a callback, yargs hands over what it would print.
  const grammar = await parser(args)
  return await new Promise((resolve) => {
    void grammar.wrap(null).parse(args, (_error: unknown, _argv: unknown, output: string) => resolve(output))
  })
}

/** What takes several values by its place: paths, jobs, the words of a command. */
const LISTS: ReadonlySet<string> = new Set(['_', '--', 'path', 'job'])

/** yargs makes an array of the values of an option that is given more than once, and no command expects one. */
function refuseRepeated(argv: Readonly<Record<string, unknown>>): true {
  const repeated = Object.keys(argv).filter((key) => Array.isArray(argv[key]) && !LISTS.has(key))
  // `secret-key-file` is there as `secretKeyFile`, too.
  const names = repeated.filter((key) => key === key.toLowerCase()).map((key) => `--${key}`)
  if (names.length === 0) return true
  const [is, takes] = names.length === 1 ? ['was', 'it takes'] : ['were', 'each takes']
  throw new Misuse(`${names.join(', ')} ${is} given more than once; ${takes} one value`)
}

/** yargs silently drops a lone `-`. The words after `--` belong to another command. */
function withStdin(args: readonly string[]): string[] {
  const end = args.includes('--') ? args.indexOf('--') : args.length
  return args.map((arg, at) => (arg === '-' && at < end ? STDIN : arg))
}
