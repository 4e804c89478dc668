import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { commands } from '../../man/pages.ts'
import { helpOf } from '../../src/cli/grammar.ts'
import { bench, build, ROOT } from './cli.ts'

beforeAll(build)

/** Every command that there is a file for, as it is called, and what it says of itself. */
const FILES = readdirSync(join(ROOT, 'src/cli')).filter((file) => file.endsWith('.ts'))
const COMMANDS = FILES.flatMap((file) => {
  const text = readFileSync(join(ROOT, 'src/cli', file), 'utf8')
  const name = /^export const command = '([a-z-]+)/m.exec(text)?.[1]
  return name === undefined ? [] : [name]
})

describe('help', () => {
  test('names every command and the exit codes', async () => {
    const { stdout, stderr, exitCode } = await bench().run(['--help'])
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(COMMANDS.length).toBeGreaterThan(10)
    for (const command of [...COMMANDS, 'completion'])
      expect(stdout).toMatch(new RegExp(`^ {2}nix-upload ${command}\\b`, 'm'))
    expect(stdout).toMatch(/Exit codes: 0 done, 1 failed, 2 usage, 75 try later, 78 bad configuration/)
    expect(await bench().run(['-h'])).toMatchObject({ stdout, exitCode: 0 })
  })

  test.each(COMMANDS)('of %s says what it takes', async (command) => {
    const { stdout, exitCode } = await bench().run([command, '--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(new RegExp(`^nix-upload ${command}`))
    expect(stdout).toMatch(/--spool.*NIX_UPLOAD_SPOOL/)
    expect(stdout).toMatch(/--config/)
  })

  test('fits into the terminal it is shown on', async () => {
    const { stdout } = await bench().run(['--help'])
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(110)
  })
})

test('is asked for with `help` too', async () => {
  const { stdout } = await bench().run(['show', '--help'])
  // The bench puts an option behind the first word.
  expect(await bench().run(['help', 'show'])).toMatchObject({ stdout, exitCode: 0 })
})

test('is in English, as all that we say, whatever the language of the machine', async () => {
  const env = { LC_ALL: 'de_DE.UTF-8', LANGUAGE: 'de' }
  const { stdout } = await bench().run(['--help'])
  expect(await bench().run(['--help'], { env })).toMatchObject({ stdout })
  expect(await bench().run(['show'], { env })).toMatchObject({
    stderr: expect.stringMatching(/^nix-upload: an argument is missing/),
  })
})

test('--version', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  expect(await bench().run(['--version'])).toEqual({ stdout: version, stderr: '', exitCode: 0 })
})

test('completion prints a script', async () => {
  const { dir, run } = bench()
  const { stdout, exitCode } = await run(['completion'], { env: { SHELL: '/bin/bash' }, cwd: dir })
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/^complete .*\bnix-upload$/m)
})

describe('what can’t be understood is said on stderr, with a hint, and exits with 2', () => {
  test.each<[args: string[], message: RegExp]>([
    [[], /^nix-upload: which command\?/],
    [['upload'], /^nix-upload: there is no command "upload"$/m],
    [['stauts'], /^nix-upload: there is no command "stauts"; did you mean "status"\?$/m],
    [['st'], /^nix-upload: there is no command "st"$/m],
    [['version'], /^nix-upload: there is no command "version"; did you mean "--version"\?$/m],
    [
      ['status', '--jsn'],
      /^nix-upload: unknown option --jsn; did you mean "--json"\?\nType `nix-upload status --help` for all/,
    ],
    [['status', '--bogus=x'], /^nix-upload: unknown option --bogus$/m],
    [['drain', '--secretkeyfile', 'x'], /^nix-upload: unknown option --secretkeyfile; .*"--secret-key-file"/],
    [['status', 'extra', '-x'], /^nix-upload: unexpected argument "extra"\nunknown option -x$/m],
    [['list', 'nowhere'], /^nix-upload: state: expected new, cur, done or failed, got "nowhere"$/m],
    [['enqueue'], /^nix-upload: an argument is missing: nix-upload enqueue <path..>$/m],
    [['show'], /^nix-upload: an argument is missing: nix-upload show <job>$/m],
    [['backfill'], /^nix-upload: --since is missing$/m],
    [['exec', '--to', 'file:///x', 'nix', 'build'], /^nix-upload: "nix" is no argument .* put -- before/],
    [['exec', 'nix-build', '--no-out-link'], /^nix-upload: "nix-build" is no argument .* put -- before/],
    [['requeue'], /^nix-upload: name the jobs to requeue, or use --all/],
    [['requeue', 'X', '--all'], /^nix-upload: name the jobs to requeue, or use --all/],
    [['pause', 'nowhere'], /^nix-upload: there is no destination "nowhere"; there is: default/],
    [['resume', 'nowhere'], /^nix-upload: there is no destination "nowhere"; there is: default/],
    [['wait', '--timeout', 'soon'], /^nix-upload: --timeout: expected a duration such as "10m", got "soon"/],
    [['drain', '--to', 'ftp://x'], /^nix-upload: --to: expected a store URL/],
    [['status', '--spool', ''], /^nix-upload: --spool: expected a path, got ""/],
    [['status', '--spool'], /^nix-upload: --spool needs a value$/m],
    [['drain', '--to'], /^nix-upload: --to needs a value$/m],
  ])('nix-upload %j', async (args, message) => {
    const { stdout, stderr, exitCode } = await bench().run(args)
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/\n {4}at |this is a bug/)
    expect([exitCode, stdout]).toEqual([2, ''])
  })
})

describe('an option that takes one value is refused if it is given more than once', () => {
  test.each(COMMANDS)('each of %s', async (command) => {
    const options = [...(await helpOf([command])).matchAll(/--([a-z-]+) {2}.*\[string\]/g)]
    const names = options.map(([, name = '']) => `--${name}`)
    expect(names).toEqual(expect.arrayContaining(['--spool', '--config']))
    const usage = (await commands()).find((usage) => usage.split(' ')[0] === command) ?? ''
    const { stdout, stderr, exitCode } = await bench().run([
      command,
      ...(usage.match(/<.*?>/g) ?? []),
      ...names.flatMap((name) => [`${name}=x`, `${name}=y`]),
    ])
    const [said = ''] = stderr.split('\n')
    expect(said).toMatch(/^nix-upload: --.* were given more than once; each takes one value$/)
    expect(said.match(/--[a-z-]+/g)?.sort()).toEqual(names.sort())
    expect([exitCode, stdout]).toEqual([2, ''])
  })

  test('but what comes behind -- is not ours, and paths may be many', async () => {
    const twice = ['--to', 'file:///x', '--', 'echo', '--to', 'a', '--to', 'b']
    expect((await bench().run(['exec', ...twice])).stderr).not.toContain('more than once')
    expect((await bench().run(['enqueue', '/a', '/b'])).stderr).not.toContain('more than once')
    expect(await bench().run(['exec', '--to', 'a', ...twice])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^nix-upload: --to was given more than once; it takes one value$/m),
    })
  })
})
