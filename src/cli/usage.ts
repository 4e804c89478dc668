import { nearest } from '../util/spelling.ts'
import { EXIT, UserError } from '../util/user-error.ts'

/** What is wrong with the command line, in the words of yargs or of a check of ours. */
export class Misuse extends Error {}

/** yargs throws errors of its own about some mistakes (a flag without its value). */
export function isMisuse(error: unknown): error is Error {
  return error instanceof Misuse || (error instanceof Error && error.name === 'YError')
}

/** What was typed, and what could have been typed. */
export interface CommandLine {
  args: readonly string[]
  /** The command among them. */
  command: string | undefined
  /** All commands. */
  commands: readonly string[]
  /** The text of `--help` for the command, unwrapped. */
  help: string
}

/**
 * The error for a command line that can't be understood: what of it, what was expected, and where to look it up.
 * @param message What yargs says.
 */
export function usageError(message: string, line: CommandLine): UserError {
  const help =
    line.command === undefined
      ? 'Type `nix-upload --help` for the commands, `nix-upload COMMAND --help` for one'
      : `Type \`nix-upload ${line.command} --help\` for all that it takes`
  return new UserError(`${inOurWords(message, line)}\n${help}`, EXIT.usage)
}

function inOurWords(message: string, line: CommandLine): string {
  const [, unknown] = /^Unknown arguments?: (.*)/.exec(message) ?? []
  if (unknown !== undefined) return unknownWords(unknown.split(', '), line)
  const [, choice] = /^Invalid values:\n *(.*)/.exec(message) ?? []
  if (choice !== undefined) return wrongChoice(choice)
  const [usage = ''] = line.help.split('\n')
  return message
    .replace(/^Not enough non-option arguments: .*/, `an argument is missing: ${usage}`)
    .replace(/^Not enough arguments following: (.*)/, '--$1 needs a value')
    .replace(/^Missing required arguments?: (.*)/, '--$1 is missing')
}

/** @param names Without dashes, and those with a hyphen also in camel case. */
function unknownWords(names: readonly string[], { args, command, commands, help }: CommandLine): string {
  const culprits = args.filter((arg) => names.includes(nameIn(arg)))
  const words = culprits.filter((arg) => !arg.startsWith('-'))
  const [word] = words
  if (command === undefined && word !== undefined) {
    return `there is no command "${word}"${suggestion(word, [...commands, '--version'])}`
  }
  if (command === 'exec' && word !== undefined) {
    return `"${word}" is no argument of exec: put -- before the command to run, as in: nix-upload exec --to URL -- nix build`
  }
  const known = [...help.matchAll(/^ .*?(--[a-z-]+) /gm)].map(([, option = '']) => option)
  const said = culprits.map((arg) => {
    if (!arg.startsWith('-')) return `unexpected argument "${arg}"`
    const [option = ''] = arg.split('=')
    return `unknown option ${option}${suggestion(option, known)}`
  })
  return said.length === 0 ? `unknown: ${names.join(', ')}` : said.join('\n')
}

/** What yargs calls an argument: `json` for `--json`, `--no-json` and `--json=x`. */
function nameIn(arg: string): string {
  return arg.startsWith('-') ? arg.replace(/^--?(?:no-)?/, '').replace(/=.*/s, '') : arg
}

function suggestion(word: string, known: readonly string[]): string {
  const near = nearest(word, known)
  return near === undefined ? '' : `; did you mean "${near}"?`
}

/** @param text `Argument: state, Given: "now", Choices: "new", "cur"` */
function wrongChoice(text: string): string {
  const [, name = '', given = '', choices = ''] =
    /^Argument: (.*?), Given: (.*), Choices: (.*)$/.exec(text) ?? []
  const words = choices.replaceAll('"', '').split(', ')
  return `${name}: expected ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, got ${given}`
}
