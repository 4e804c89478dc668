// Every command on a spool that it may not read or write: one sentence that says what to do, the right exit code, and no
// job is lost. Nothing of this is a bug of ours, so nowhere is there a stack trace.

import { chmodSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { commands } from '../../man/pages.ts'
import { versions } from '../delivery/bed.ts'
import { makeNamespace } from '../integration/circumstances.ts'
import { NIX_UPLOAD } from '../integration/site.ts'
import { jobText } from '../spool/temp-spool.ts'
import { startNixDaemon } from '../support/nix-daemon.ts'
import { makePrivateNix } from '../support/private-nix.ts'
import { type RunResult, runProgram } from '../support/run.ts'
import { addToStore, type Bench, bench, build, LAUNCHER } from './cli.ts'

beforeAll(build)

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--']
const AS_NOBODY = ['setpriv', ...NOBODY]

/** What is typed behind a command. */
const ARGUMENTS: Readonly<Record<string, (store: string) => string[]>> = {
  status: () => [],
  list: () => [],
  show: () => ['failed'],
  enqueue: (path) => [path],
  pause: () => ['default'],
  resume: () => [],
  requeue: () => ['--all'],
  forget: () => ['nobody'],
  wait: () => ['--timeout', '50ms'],
  prune: () => [],
  drain: () => [],
  watch: () => [],
  backfill: () => ['--since', '1d'],
  doctor: () => [],
}
/** What has no business with a spool that is there. */
const OTHERS = ['init', 'uninstall', 'exec', 'check-config', 'completion']

test('these are all commands', async () => {
  const all = (await commands()).map((usage) => usage.split(' ')[0] ?? '')
  expect([...Object.keys(ARGUMENTS), ...OTHERS].sort()).toEqual(all.sort())
})

/** A paused spool with a job that waits, one that failed and one that was done long ago. */
function spoolOfRoot(): Bench & { path: string; jobs(): string[] } {
  expect(process.geteuid?.(), 'this is about another user').toBe(0)
  const made = bench()
  const { spool, dir } = made
  chmodSync(dir, 0o755)
  writeFileSync(join(spool.new, 'waiting.json'), jobText())
  writeFileSync(join(spool.failed, 'failed.json'), jobText())
  const old = join(spool.done, 'old.json')
  writeFileSync(old, jobText())
  utimesSync(old, 0, 0)
  writeFileSync(join(spool.root, 'paused'), '')
  const jobs = () => (['new', 'cur', 'failed'] as const).flatMap((state) => readdirSync(spool[state]))
  return { ...made, path: addToStore(made, 'x'), jobs }
}

/** The exit code of each command, of which only those that succeed or are to be tried again are named. */
async function exitCodes(
  { dir, env, configFile, path }: Bench & { path: string },
  prefix: string[],
  leaveOut: string[] = [],
): Promise<{ codes: Record<string, number>; said: string }> {
  const codes: Record<string, number> = {}
  let said = ''
  for (const [command, args] of Object.entries(ARGUMENTS)) {
    if (leaveOut.includes(command)) continue
    const argv = [...prefix, process.execPath, LAUNCHER, command, '--config', configFile, ...args(path)]
    const { exitCode, stderr } = await runProgram(argv[0] ?? '', argv.slice(1), {
      cwd: dir,
      env: { ...env, PATH: `${env.PATH}:/usr/bin:/bin` },
    })
    expect(stderr, command).not.toMatch(/this is a bug|^\s+at /m)
    if (exitCode !== 0 && exitCode !== 75 && command !== 'doctor')
      expect(stderr, command).toMatch(/^nix-upload: ./m)
    if (exitCode !== 1) codes[command] = exitCode
    said += stderr
  }
  return { codes, said }
}

const LOOKING = { status: 0, list: 0, show: 0 }

test('a spool of somebody else’s: it can be looked at', { timeout: 60_000 }, async () => {
  const site = spoolOfRoot()
  const { codes, said } = await exitCodes(site, AS_NOBODY)
  expect(codes).toMatchObject({ ...LOOKING, wait: 75 })
  for (const command of ['enqueue', 'pause', 'resume', 'requeue', 'prune', 'drain', 'watch'])
    expect(codes, command).not.toHaveProperty(command)
  expect(said).toMatch(/permission denied: .*: run this as root/)
  expect(site.jobs()).toEqual(['waiting.json', 'failed.json'])
})

test('a spool that nobody else may look into', { timeout: 60_000 }, async () => {
  const site = spoolOfRoot()
  chmodSync(site.spool.root, 0o700)
  const { codes } = await exitCodes(site, AS_NOBODY)
  delete codes.doctor
  expect(codes).toEqual({})
  expect(site.jobs()).toEqual(['waiting.json', 'failed.json'])
})

test('no spool, and nowhere to make one', { timeout: 60_000 }, async () => {
  const site = spoolOfRoot()
  const env = { ...site.env, NIX_UPLOAD_SPOOL: join(site.dir, 'none/spool') }
  const { codes } = await exitCodes({ ...site, env }, AS_NOBODY)
  delete codes.doctor
  expect(codes).toEqual({ status: 0 })
})

test('a spool on a disk that is mounted read-only', { timeout: 60_000 }, async () => {
  const site = spoolOfRoot()
  const { root } = site.spool
  const { enter } = await makeNamespace(`mount --bind ${root} ${root}; mount -o remount,ro,bind ${root}`)
  const { codes, said } = await exitCodes(site, enter)
  expect(codes).toMatchObject({ ...LOOKING, wait: 75 })
  for (const command of ['pause', 'resume', 'requeue', 'prune', 'drain', 'watch'])
    expect(codes, command).not.toHaveProperty(command)
  expect(said).toMatch(/read-only file system: .*; it is mounted read-only/)
  expect(site.jobs()).toEqual(['waiting.json', 'failed.json'])
})

test('a spool on a disk that is full', { timeout: 60_000 }, async () => {
  const site = spoolOfRoot()
  const { root } = site.spool
  const states = ['tmp', 'new', 'cur', 'done', 'failed']
  const copy = join(site.dir, 'copy')
  // Every inode is taken: the root of it, five directories, four files.
  const { enter, seen } = await makeNamespace(
    `cp -r ${root} ${copy}; mount -t tmpfs -o nr_inodes=${5 + states.length} tmpfs ${root}; cp -r ${copy}/. ${root}`,
  )
  const env = { ...site.env, NIX_UPLOAD_GCROOTS: '' }
  const { codes, said } = await exitCodes({ ...site, env }, enter, ['watch', 'drain', 'resume', 'prune'])
  // What is only renamed needs no room.
  expect(codes).toMatchObject({ ...LOOKING, wait: 75, requeue: 0 })
  for (const command of ['enqueue', 'pause']) expect(codes, command).not.toHaveProperty(command)
  expect(said).toMatch(/no space left on device: .*; make room there, then try again/)
  expect(readdirSync(seen(join(root, 'new'))).sort()).toEqual(['failed.json', 'waiting.json'])
})

test('backfill where nix-daemon takes no connection from this user', { timeout: 60_000 }, async () => {
  const version = versions.at(-1)
  if (!version) throw new Error('there is no Nix to test with')
  const nix = await makePrivateNix(version, { name: 'closed' })
  const client = await startNixDaemon(nix)
  chmodSync(join(nix.stateDir, 'daemon-socket/socket'), 0o600)
  mkdirSync(join(client.home, 'spool'), { mode: 0o777 })
  chmodSync(join(client.home, 'spool'), 0o777)
  const [program = '', ...rest] = [...client.as, NIX_UPLOAD, 'backfill', '--since', '1d']
  const env = { ...client.env, NIX_UPLOAD_SPOOL: join(client.home, 'spool') }
  const backfill: RunResult = await nix.run(program, [...rest, '--config', '/dev/null'], { env })
  await client.stop()
  await nix.cleanup()
  expect(backfill).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(
      /^nix-upload: Nix can't be asked: .*; nix-daemon refuses connections of this user .*: run this as root/,
    ),
  })
})
