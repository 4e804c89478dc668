import { basename } from 'node:path'
import yargs, { type ArgumentsCamelCase, type Argv } from 'yargs'
import { withCommon } from './options.ts'
import { print } from './print.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

export const command = 'completion [shell]'
export const describe = 'Print a completion script for a shell'

export const builder = (yargs: Argv) =>
  withCommon(yargs).positional('shell', {
    choices: SHELLS,
    describe: 'The shell [default: what $SHELL names, or bash]',
  })

export async function handler({ shell }: ArgumentsCamelCase<{ shell: Shell | undefined }>): Promise<void> {
  const named = basename(process.env.SHELL ?? '')
  const chosen = shell ?? SHELLS.find((one) => one === named) ?? 'bash'
  // yargs reads SHELL here and when a shell asks for completions. The login shell may be another one.
  process.env.SHELL = chosen
  delete process.env.ZSH_NAME
  const script = await scriptOfYargs()
  await print(
    `${script.replaceAll(/nix-upload (?=--get-yargs-completions)/g, `env SHELL=${chosen} nix-upload `)}\n`,
  )
}

/** With a callback, yargs passes on the text instead of printing it. */
function scriptOfYargs(): Promise<string> {
  return new Promise((resolve) => {
    void yargs()
      .scriptName('nix-upload')
      .completion('completion')
      .parse(['completion'], (_error: unknown, _argv: unknown, output: string) => resolve(output))
  })
}
