import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { tempDir } from '../spool/temp-spool.ts'
import { runProgram } from '../support/run.ts'
import { build, LAUNCHER } from './cli.ts'

beforeAll(build)

async function check(toml: string, ...args: string[]) {
  const dir = tempDir()
  writeFileSync(join(dir, 'config.toml'), toml)
  const env = { NIX_UPLOAD_SPOOL: 'not looked at', NIX_UPLOAD_CONFIG: join(dir, 'config.toml') }
  return runProgram(process.execPath, [LAUNCHER, 'check-config', ...args], { cwd: dir, env })
}

describe('check-config', () => {
  test('says which destinations there are, and makes nothing', async () => {
    const toml =
      '[[destination]]\nname = "s3"\nto = "s3://cache"\n[[destination]]\nname = "ssh"\nto = "ssh://host"\n'
    expect(await check(toml, 'config.toml')).toEqual({
      stdout: 'config.toml is valid. Destinations:\n  s3: s3://cache\n  ssh: ssh://host',
      stderr: '',
      exitCode: 0,
    })
    const dir = tempDir()
    writeFileSync(join(dir, 'config.toml'), `spool = "${dir}/spool"`)
    await runProgram(process.execPath, [LAUNCHER, 'check-config', join(dir, 'config.toml')], { cwd: dir })
    expect(readdirSync(dir)).toEqual(['config.toml'])
  })

  test('takes --config too', async () => {
    expect(await check('', '--config', 'config.toml')).toMatchObject({ stderr: '', exitCode: 0 })
  })

  test('checks the file that NIX_UPLOAD_CONFIG names if no other is named, as all commands read it', async () => {
    expect(await check('[[destination]]\nto = "s3://of-the-variable"')).toMatchObject({
      stdout: expect.stringMatching(
        /^\/.*\/config\.toml is valid\. .*\n {2}default: s3:\/\/of-the-variable$/,
      ),
      exitCode: 0,
    })
    expect(await check('', 'other.toml')).toMatchObject({ exitCode: 78 })
  })

  test.each([
    ['to = "ssh-ng://host"\nnetrc-file = "/n"', '"netrc-file"'],
    ['command = ["push"]\nnetrc-file = "/n"', '"netrc-file"'],
    ['command = ["push"]\nclosure = false', '"closure = false"'],
    ['command = ["push"]\nderivations = true', '"derivations"'],
    ['command = ["push"]\nlogs = true', '"logs"'],
  ])('warns of a key without effect: %j', async (toml, key) => {
    const { stderr, exitCode } = await check(`[[destination]]\n${toml}\n`, 'config.toml')
    expect(stderr).toMatch(new RegExp(`^destination "default": ${key} has no effect: `))
    expect(exitCode).toBe(0)
  })

  test.each<[toml: string, message: RegExp]>([
    ['spol = "/x"', /^nix-upload: .*\/config\.toml: unknown key spol; did you mean "spool"\?$/],
    ['log-level = "loud"\nspol = 1', /^nix-upload: .*\/config\.toml:\n {2}\S.*\n {2}\S.*$/],
    ['spool = ', /^nix-upload: .*\/config\.toml, line 1, column \d+: not TOML: /],
    [
      '[[destination]]\nname = "s3"\nto = "s3://cache?addressing-style=dns"',
      /^nix-upload: destination "s3": addressing-style .* is auto, path or virtual, not dns$/,
    ],
    [
      'spool = "\\u001b[2J"',
      /^nix-upload: .*\/config\.toml: spool: expected a directory, an absolute path, got "\\u001b\[2J"$/,
    ],
  ])('of %j says what is wrong and exits with 78', async (toml, message) => {
    const { stdout, stderr, exitCode } = await check(toml, 'config.toml')
    expect(stderr).toMatch(message)
    expect([exitCode, stdout]).toEqual([78, ''])
  })

  test('and drain refuse a proxy that only Nix can use, in the same words', async () => {
    const dir = tempDir()
    const file = join(dir, 'config.toml')
    writeFileSync(file, '[[destination]]\nto = "https://cache.example"\n')
    const run = (args: string[], env: Record<string, string>) =>
      runProgram(process.execPath, [LAUNCHER, ...args], { cwd: dir, env })
    const socks = { all_proxy: 'socks5://me:secret@proxy:1080', NIX_UPLOAD_SPOOL: join(dir, 'spool') }
    for (const args of [
      ['check-config', file],
      ['drain', '--config', file],
    ]) {
      const { stderr, exitCode } = await run(args, socks)
      expect(stderr).toMatch(/destination "default": all_proxy names a proxy at socks5:.*via = "nix"/)
      expect(stderr).not.toContain('secret')
      expect(exitCode).toBe(78)
    }
    expect(readdirSync(dir)).toEqual(['config.toml'])
    const isExempt = await run(['check-config', file], { ...socks, no_proxy: 'example' })
    expect(isExempt).toMatchObject({ exitCode: 0 })
    writeFileSync(file, '[[destination]]\nto = "https://cache.example"\nvia = "nix"\n')
    expect(await run(['check-config', file], socks)).toMatchObject({ exitCode: 0 })
  })

  test('of no file says so and exits with 78', async () => {
    const { stderr, exitCode } = await check('', 'missing.toml')
    expect(stderr).toMatch(
      /^nix-upload: can't read the configuration: no such file or directory: .*\/missing\.toml$/,
    )
    expect(exitCode).toBe(78)
    const dir = tempDir()
    mkdirSync(join(dir, 'directory'))
    const ofDirectory = await runProgram(
      process.execPath,
      [LAUNCHER, 'check-config', join(dir, 'directory')],
      {},
    )
    expect(ofDirectory).toMatchObject({
      stderr: expect.stringMatching(/: it is a directory, not a regular file: /),
      exitCode: 78,
    })
  })

  test('takes what a shell pipes to it, and refuses at once a FIFO that it would wait for', async () => {
    const dir = tempDir()
    const script = `echo 'spol = 1' | "$0" "$1" check-config /dev/stdin; "$0" "$1" check-config <(echo 'spol = 2')
      mkfifo fifo; "$0" "$1" check-config fifo; "$0" "$1" check-config /dev/null`
    const argv = ['-c', script, process.execPath, LAUNCHER]
    const { stdout, stderr } = await runProgram('bash', argv, { cwd: dir, timeout: 20_000 })
    expect(stderr.split('\n')).toEqual([
      'nix-upload: /dev/stdin: unknown key spol; did you mean "spool"?',
      expect.stringMatching(/^nix-upload: \/dev\/fd\/\d+: unknown key spol; did you mean "spool"\?$/),
      expect.stringMatching(/^nix-upload: can't read the configuration: it is a FIFO, .*\/fifo$/),
    ])
    expect(stdout).toMatch(/^\/dev\/null is valid/)
  })

  test('shows what a terminal would obey', async () => {
    const { stdout } = await check('[[destination]]\ncommand = ["x\\u001b[2J"]', 'config.toml')
    expect(stdout).toContain('x\\u{1b}[2J')
    expect(stdout).not.toContain('\u001b')
  })
})

test.each([['status'], ['list'], ['enqueue', '/x'], ['drain'], ['watch'], ['wait'], ['prune']])(
  '%s refuses a bad configuration with 78 before it does anything',
  async (...args) => {
    const dir = tempDir()
    writeFileSync(join(dir, 'config.toml'), `spool = "${dir}/spool"\nbogus = 1\n`)
    const [command = '', ...rest] = args
    const argv = [LAUNCHER, command, '--config', 'config.toml', ...rest]
    const { stdout, stderr, exitCode } = await runProgram(process.execPath, argv, { cwd: dir })
    expect(stderr).toMatch(/^nix-upload: .*\/config\.toml: unknown key bogus; known here: /)
    expect([exitCode, stdout]).toEqual([78, ''])
    expect(readdirSync(dir)).toEqual(['config.toml'])
  },
)
