// Typed into real shells on a pseudo-terminal, which script(1) makes; but for fish, which was tried by hand (3.6.0).

import { spawn } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { bench, build, LAUNCHER } from './cli.ts'

beforeAll(build)

const SHELLS = {
  bash: {
    command: 'bash --norc --noprofile -i',
    prepare: 'bind "set enable-bracketed-paste off"; . ./completion',
  },
  zsh: { command: 'zsh -f -i', prepare: 'bindkey -e; autoload -Uz compinit; compinit -D; . ./completion' },
}

/** The login shell, which is not the one that is typed in. */
const SHELL = '/usr/bin/fish'

/** What a shell makes of keys; CTRL_A goes to the beginning of the line. */
async function typed(shell: keyof typeof SHELLS, keys: string): Promise<string> {
  const { dir, run, env } = bench()
  const { command, prepare } = SHELLS[shell]
  mkdirSync(join(dir, 'bin'))
  symlinkSync(LAUNCHER, join(dir, 'bin/nix-upload'))
  const PATH = `${join(dir, 'bin')}:${dirname(process.execPath)}:/usr/bin:/bin`
  const script = await run(['completion', shell], { env: { SHELL } })
  writeFileSync(join(dir, 'completion'), script.stdout)
  const child = spawn('script', ['--quiet', '--command', command, '/dev/null'], {
    cwd: dir,
    env: { ...env, PATH, TERM: 'dumb', SHELL: `/bin/${shell}`, LC_ALL: 'C.UTF-8', HISTFILE: '/dev/null' },
  })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  const says = (text: RegExp) =>
    until(
      () => text.test(output),
      () => `${text} in ${JSON.stringify(output)}`,
      60_000,
    )
  const ended = new Promise((resolve) => child.once('close', resolve))
  try {
    child.stdin.write(`export SHELL=${SHELL}; ${prepare}; echo "is"" ready"\n`)
    await says(/is ready/)
    child.stdin.write(`${keys}\u0001echo "it": \n`)
    await says(/^it: .*\r?\n/m)
    return /^it: (.*?) *\r?$/m.exec(output)?.[1] ?? ''
  } finally {
    // The shell loses its terminal then, and ends.
    child.kill('SIGKILL')
    await ended
  }
}

test.each(['bash', 'zsh'] as const)('%s completes commands, options and their values', async (shell) => {
  expect(await typed(shell, 'nix-upload stat\t--wat\t')).toBe('nix-upload status --watch')
  expect(await typed(shell, 'nix-upload list fai\t')).toBe('nix-upload list failed')
})

test('for fish: the script that it reads, and what that asks for', async () => {
  const { run } = bench()
  const env = { SHELL: '/usr/bin/fish' }
  const script = await run(['completion'], { env })
  expect(script.stdout).toContain(
    '(env SHELL=fish nix-upload --get-yargs-completions (commandline -o)[2..-1])',
  )
  const ask = (...words: string[]) => run(['--get-yargs-completions', ...words], { env })
  // It picks what begins as it was typed by itself.
  expect((await ask('stat')).stdout).toMatch(
    /^status\tShow the waiting jobs by destination, how long they wait, and why$/m,
  )
  expect((await ask('list', 'fai')).stdout).toMatch(/^failed$/m)
})

test('which shell it is for is its argument, or else $SHELL, or else bash', async () => {
  const { run } = bench()
  const shellFor = async (args: string[], SHELL: string) =>
    /SHELL=(\w+)/.exec((await run(['completion', ...args], { env: { SHELL } })).stdout)?.[1]
  expect(await shellFor(['zsh'], '/bin/bash')).toBe('zsh')
  expect(await shellFor([], '/usr/bin/zsh')).toBe('zsh')
  expect(await shellFor([], '/bin/dash')).toBe('bash')
  expect(await run(['completion', 'tcsh'])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('expected bash, zsh or fish, got "tcsh"'),
  })
})
