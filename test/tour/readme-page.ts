// What README.md and other pages give people to type, and how tests type it: as it is printed, taken from the page.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type RunResult, runProgram } from '../support/run.ts'

const ROOT = join(import.meta.dirname, '../..')

/**
 * Commands that no test types, each with the reason. The first five were typed by hand in a fresh clone, `npm test` as CI
 * does, the installation in a /usr of its own with Node 24.
 */
export const NOT_TYPED: Readonly<Record<string, string>> = {
  'npm start': 'it makes ./tour anew, which may be somebody’s; test/tour/tour.test.ts runs what it runs',
  'npm test': 'it is what runs this test',
  'npm ci': 'it fetches from the npm registry',
  'npm pack': 'it writes into the checkout; test/systemd/machine.ts installs the files that it would pack',
  'npm install --global ./nix-upload-0.1.0.tgz': 'it fetches from the npm registry, and changes this machine',
  'nix-upload exec --to URL -- nix build': 'URL stands for yours; test/cli/exec runs it with real ones',
  'nix copy --to file:///…': 'it is an example of something else',
}

/** The first words of what is a command where it is printed within a line of text. */
const COMMAND = /^(\.|cd|chown|command|install|mv|nix|nix-store|nix-upload|npm|rm|systemctl|touch|usermod) \S/
/** What an answer looks like that a line of text speaks of: the hook asks this itself. */
const NOT_FOR_PEOPLE = new Set(['nix-store --query --outputs'])

/** A command as it is printed. */
export interface Printed {
  /** The heading that it is below; empty for those above the first. */
  section: string
  /** All of it, as somebody would paste it; a block that is a script is one piece. */
  line: string
  /** Its first line, without the comment. */
  command: string
}

/** Every command that a page prints in an `sh` block or in the text, in order, each once. */
export function printed(page = 'README.md'): Printed[] {
  const sections = readFileSync(join(ROOT, page), 'utf8').split(/^## /m)
  const all = sections.flatMap((text, at) => {
    const section = at === 0 ? '' : text.slice(0, text.indexOf('\n'))
    return linesIn(text).map((line) => ({ section, line, command: commandOf(line) }))
  })
  return all.filter(({ command }, at) => all.findIndex((other) => other.command === command) === at)
}

function commandOf(line: string): string {
  const [first = ''] = line.split('\n')
  return first.replace(/ {2,}# .*$/, '')
}

function linesIn(text: string): string[] {
  const found = text.matchAll(/^```(\w*)\n([\s\S]*?)^```|`([^`\n]+)`/gm)
  return [...found].flatMap(([, language, block, span = '']) => {
    if (block === undefined) return COMMAND.test(span) && !NOT_FOR_PEOPLE.has(span) ? [span] : []
    if (language !== 'sh') return []
    return block.startsWith('#!') ? [block] : block.split('\n').filter((line) => line !== '')
  })
}

/** Types a command as it is printed; fails where it doesn't exit with what is expected, 0 unless another is named. */
export type Type = (exitCode?: number) => Promise<RunResult>
/** For each command, what to do about it: type it, and look whether it did what the page says. */
export type Steps = Readonly<Record<string, (type: Type, line: string) => Promise<void>>>

/**
 * Types what a section prints, in order.
 * @param steps One for each command: the section must print these and no other.
 * @param run Runs a line of shell.
 * @param page Where the section is.
 */
export async function typeSection(
  section: string,
  steps: Steps,
  run: (line: string) => Promise<RunResult>,
  page = 'README.md',
): Promise<void> {
  const commands = printed(page).filter((one) => one.section === section && !(one.command in NOT_TYPED))
  expect(commands.map(({ command }) => command)).toEqual(Object.keys(steps))
  for (const { line, command } of commands) {
    const type: Type = async (exitCode = 0) => {
      const result = await run(line)
      expect(result, `${line}: ${result.stderr}${result.stdout}`).toMatchObject({ exitCode })
      return result
    }
    await steps[command]?.(type, line)
  }
}

/** A shell that lines are typed into, one after the other. Those that change the shell itself are entered for good. */
export class Shell {
  readonly #options: { cwd: string; env: Record<string, string> }
  readonly #entered: string[] = []

  constructor(options: { cwd: string; env: Record<string, string> }) {
    this.#options = options
  }

  /** Keeps a line, such as `cd …`, for all that follow. */
  enter(line: string): void {
    this.#entered.push(line)
  }

  /** What makes another shell run a line where this one is by now. */
  script(line: string): string {
    return [...this.#entered, line].join('\n')
  }

  readonly run = (line: string): Promise<RunResult> =>
    runProgram('sh', ['-c', this.script(line)], this.#options)
}
