// `nix-upload exec`: what it tells its command, what comes of uploads that fail or must wait, and signals.

import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { Daemon } from '../../integration/daemon.ts'
import { makeSite, NIX_UPLOAD, type Site } from '../../integration/site.ts'
import { build } from '../cli.ts'
import { building, exec, leftIn, rootsLeft } from './bed.ts'

beforeAll(build)

const tmp = (site: Site) => site.env.TMPDIR ?? ''
const to = (site: Site) => ['--to', `file://${site.cache}`]

test('what NIX_CONFIG said before stays in it, but for another hook', async () => {
  const site = await makeSite()
  const before = 'post-build-hook = /bin/false\nconnect-timeout = 17'
  const [program = '', ...rest] = await building(site, { name: 'configured' })
  const { stdout, stderr, exitCode } = await exec(
    site,
    to(site),
    ['sh', '-c', `nix show-config | grep connect-timeout && ${program} ${rest.join(' ')}`],
    { env: { NIX_CONFIG: before } },
  )
  expect(exitCode, stderr).toBe(0)
  expect(stdout).toMatch(/^(max-)?connect-timeout = 17$/m)
  expect(stderr).toMatch(/^nix-upload: 1 uploaded$/m)
})

test('what nothing was built for, that is said', async () => {
  const site = await makeSite()
  const command = await building(site, { name: 'there-already' })
  await site.nix.run(command[0] ?? '', command.slice(1))
  const { stderr, exitCode } = await exec(site, to(site), command)
  expect(stderr).toMatch(/^nix-upload: nothing was queued, since nothing was built: .*`nix-upload backfill`/m)
  expect([exitCode, leftIn(tmp(site)), rootsLeft(site)]).toEqual([0, [], []])
})

test('the command can queue what it did not build', async () => {
  const site = await makeSite()
  const [path = ''] = await site.paths(1)
  const command = ['sh', '-c', `${NIX_UPLOAD} enqueue ${path}`]
  const { stderr, exitCode } = await exec(site, to(site), command)
  expect([exitCode, site.isCached(path)], stderr).toEqual([0, true])
})

test('uploads go on beside the build', async () => {
  const site = await makeSite()
  const [path = ''] = await site.paths(1)
  const narinfo = join(site.cache, `${path.split('/').at(-1)?.slice(0, 32)}.narinfo`)
  const wait = `for i in $(seq 600); do [ -e ${narinfo} ] && exit 0; sleep 0.1; done; exit 9`
  const { stderr, exitCode } = await exec(site, to(site), [
    'sh',
    '-c',
    `${NIX_UPLOAD} enqueue ${path} > ${site.nix.dir}/queued; ${wait}`,
  ])
  expect(exitCode, stderr).toBe(0)
})

test('75: the build is well and the destination is down; the spool is kept, with what to type', async () => {
  const site = await makeSite()
  const command = await building(site, { name: 'waiting' })
  const inTheWay = `${site.cache}-parent`
  writeFileSync(inTheWay, 'a file, where a directory should be')
  const args = ['--to', `file://${inTheWay}/cache`, '--linger', '0s']
  const { stdout, stderr, exitCode } = await exec(site, args, command)
  expect(exitCode, stderr).toBe(75)
  expect(stderr).toMatch(/^nix-upload: 0 uploaded, 1 NOT UPLOADED YET; the command itself succeeded$/m)
  expect(stderr).toMatch(
    /^nix-upload: uploads to file:\S+ are not signed, .*; sign them with --secret-key-file FILE$/m,
  )
  expect(stderr, 'it is no service, and has no unit').not.toMatch(
    /\bservice|\bunit\b|systemctl|ReadWritePaths/,
  )
  const [, spool, line = ''] = /kept in (\S+)\. To go on with them:\n {2}(.*)$/m.exec(stderr) ?? []
  expect(spool).toBe(join(tmp(site), leftIn(tmp(site))[0] ?? '', 'spool'))
  await site.nix.gc()
  expect(await site.nix.isValid(stdout.trim())).toBe(true)
  const elsewhere = line.replace(`${inTheWay}/cache`, site.cache).replace(' nix-upload ', ` ${NIX_UPLOAD} `)
  expect(await site.nix.run('sh', ['-c', elsewhere])).toMatchObject({ exitCode: 0 })
  expect(site.isCached(stdout.trim())).toBe(true)
})

test('it stays a while for a destination that is down, and says so', async () => {
  const site = await makeSite()
  const up = join(site.nix.dir, 'up')
  const config = await site.configured(
    `[[destination]]\ncommand = ["sh", "-c", "[ -e ${up} ] || { : > ${up}; exit 75; }"]\nretry-min = "200ms"\n`,
  )
  const { stderr, exitCode } = await exec(site, config, await building(site, { name: 'patient' }))
  expect(exitCode, stderr).toBe(0)
  expect(stderr).toMatch(/the destination is down/)
  expect(stderr).toMatch(/^nix-upload: 1 uploaded$/m)
})

test('1: the build is well and an upload fails for good', async () => {
  const site = await makeSite()
  const config = await site.configured('[[destination]]\ncommand = ["false"]\nmax-attempts = 1\n')
  const command = await building(site, { name: 'unwelcome' })
  const { stderr, exitCode } = await exec(site, config, command)
  expect(exitCode, stderr).toBe(1)
  expect(stderr).toMatch(/^nix-upload: 0 uploaded, 1 FAILED; the command itself succeeded$/m)
  expect(stderr).toMatch(/^nix-upload: \S+-unwelcome\.json: false exited with 1/m)
  expect(leftIn(tmp(site))).toHaveLength(1)
})

test('the command’s own status comes before that of the uploads', async () => {
  const site = await makeSite()
  const config = await site.configured('[[destination]]\ncommand = ["false"]\nmax-attempts = 1\n')
  const [program = '', ...rest] = await building(site, { name: 'unwelcome' })
  const command = ['sh', '-c', `${program} ${rest.join(' ')}; exit 42`]
  const { stderr, exitCode } = await exec(site, config, command)
  expect(exitCode).toBe(42)
  expect(stderr).toMatch(/^nix-upload: 0 uploaded, 1 FAILED; the command ended with 42$/m)
})

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s reaches the command', async (signal) => {
  const site = await makeSite()
  const script = `trap 'echo "got it" >&2; exit 7' TERM INT HUP; echo ready >&2; while :; do sleep 0.05; done`
  const running = new Daemon(NIX_UPLOAD, ['exec', ...to(site), '--', 'sh', '-c', script], site.env)
  site.daemons.push(running)
  await running.says('ready')
  running.kill(signal)
  expect(await running.exited, running.log.join('\n')).toBe(7)
  expect(running.log).toContain('got it')
  expect(leftIn(tmp(site))).toEqual([])
})

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  '%s before the command is started leaves nothing',
  async (signal) => {
    const site = await makeSite()
    const statuses = new Set<number>()
    for (let ms = 100; ms <= 900; ms += 100) {
      const command = ['sh', '-c', `touch ${site.nix.dir}/started; exec sleep 30`]
      const running = new Daemon(NIX_UPLOAD, ['exec', ...to(site), '--', ...command], site.env)
      site.daemons.push(running)
      await sleep(ms)
      running.kill(signal)
      statuses.add(await running.exited)
      expect([leftIn(tmp(site)), rootsLeft(site)], `${signal} after ${ms} ms`).toEqual([[], []])
    }
    expect([...statuses]).toEqual([128 + constants.signals[signal]])
  },
)

test('a command that a signal ended: its status is as a shell has it', async () => {
  const site = await makeSite()
  expect((await exec(site, to(site), ['sh', '-c', 'kill -9 $$'])).exitCode).toBe(137)
})

test('a spool that is named is used and kept', async () => {
  const site = await makeSite()
  const command = await building(site, { name: 'kept' })
  const { exitCode, stderr } = await exec(site, [...to(site), '--spool', site.spool], command)
  expect([exitCode, site.counts().done], stderr).toEqual([0, 1])
  expect([existsSync(site.spool), rootsLeft(site), readdirSync(tmp(site))]).toEqual([true, [], []])
})

test.each<[what: string, args: string[], exitCode: number, message: RegExp]>([
  ['no command', ['--to', 'file:///x'], 2, /say what to run behind --/],
  ['no destination', ['--', 'true'], 2, /say where to upload with --to URL/],
  ['a key that is not there', ['--to', 'file:///x', '--secret-key-file', '/no', '--', 'true'], 78, /\/no/],
  [
    'a program that is not there',
    ['--to', 'file:///x', '--', 'no-such'],
    127,
    /no-such could not be started/,
  ],
  [
    'no duration',
    ['--to', 'file:///x', '--linger', 'long', '--', 'true'],
    2,
    /--linger: expected a duration/,
  ],
])('%s: said before anything is started', async (_what, args, exitCode, message) => {
  const site = await makeSite()
  const result = await site.run(['exec', ...args])
  expect(result.stderr).toMatch(message)
  expect([result.exitCode, leftIn(tmp(site)), rootsLeft(site)]).toEqual([exitCode, [], []])
})

test('of a spool that is named, nothing else stays where something must wait', async () => {
  const site = await makeSite()
  const inTheWay = `${site.cache}-parent`
  writeFileSync(inTheWay, 'a file, where a directory should be')
  const args = ['--to', `file://${inTheWay}/cache`, '--linger', '0s', '--spool', site.spool]
  const { exitCode, stderr } = await exec(site, args, await building(site, { name: 'waits' }))
  expect(exitCode, stderr).toBe(75)
  expect([readdirSync(tmp(site)), site.counts()]).toMatchObject([[], { new: 1 }])
})

test('no Nix on PATH: said, and nothing is started', async () => {
  const site = await makeSite()
  const [node = '', cli] = [process.execPath, NIX_UPLOAD]
  const env = { ...site.env, PATH: '/nowhere' }
  const result = await site.nix.run(node, [cli, 'exec', ...to(site), '--', '/bin/true'], { env })
  expect(result.stderr).toMatch(
    /nothing was started, since Nix can't be asked .*there is no program "nix" on PATH/,
  )
  expect([result.exitCode, leftIn(tmp(site))]).toEqual([1, []])
})
