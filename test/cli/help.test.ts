import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { commands, helpOf } from '../../man/pages.ts'
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
    [['upload'], /^nix-upload: .*\bupload\b/],
    [['status', '--bogus'], /^nix-upload: Unknown argument: bogus/],
    [['status', 'extra'], /^nix-upload: Unknown argument: extra/],
    [
      ['list', 'nowhere'],
      /^nix-upload: Invalid values:\n.*"nowhere", Choices: "new", "cur", "done", "failed"/,
    ],
    [['enqueue'], /^nix-upload: an argument is missing/],
    [['show'], /^nix-upload: an argument is missing/],
    [['requeue'], /^nix-upload: name the jobs to requeue, or use --all/],
    [['requeue', 'X', '--all'], /^nix-upload: name the jobs to requeue, or use --all/],
    [['pause', 'nowhere'], /^nix-upload: there is no destination "nowhere"; there is: default/],
    [['resume', 'nowhere'], /^nix-upload: there is no destination "nowhere"; there is: default/],
    [['wait', '--timeout', 'soon'], /^nix-upload: --timeout: expected a duration such as "10m", got "soon"/],
    [['drain', '--to', 'ftp://x'], /^nix-upload: --to: expected a store URL/],
    [['status', '--spool', ''], /^nix-upload: --spool: expected a path, got ""/],
    [['status', '--spool'], /^nix-upload: .*\bspool\b/],
    [['drain', '--to'], /^nix-upload: .*\bto\b/],
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
