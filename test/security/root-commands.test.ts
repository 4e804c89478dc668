// Root steers a spool that belongs to the service's user, who is malicious and exchanges what lies in it at any moment
// for something that leads elsewhere. The commands are stopped behind the system calls that touch the spool.

import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { addToStore, type Bench, bench, build, LAUNCHER } from '../cli/cli.ts'
import { evidence, IS_WHOLE, spread, twoAtATime } from '../proof/share.ts'
import { type Point, pointsOf } from '../proof/strace.ts'
import { jobText } from '../spool/temp-spool.ts'
import { runProgram } from '../support/run.ts'
import { runStopped, type Stopped } from './stopped.ts'

beforeAll(build)

const NOBODY = 65534
const STATES = ['tmp', 'new', 'cur', 'done', 'failed']
const TOUCHING = 'openat,/rename,/unlink,/stat,/mkdir,getdents64,close,fsync,/chown,/utime'

/** A spool that is nobody's, with jobs in it, and a directory of root's with old files in it. */
function makeGround(): Bench & { victim: string } {
  const here = bench()
  const victim = join(here.dir, 'victim')
  mkdirSync(victim)
  for (const directory of [victim, here.spool.done, here.spool.tmp]) {
    writeFileSync(join(directory, 'passwd'), jobText('x', { destinations: {} }))
    utimesSync(join(directory, 'passwd'), 0, 0)
  }
  writeFileSync(join(here.spool.failed, 'evil.sh'), jobText('hello', {}))
  for (const name of ['.', ...STATES]) chownSync(join(here.spool.root, name), NOBODY, NOBODY)
  for (const name of ['done/passwd', 'tmp/passwd', 'failed/evil.sh'])
    chownSync(join(here.spool.root, name), NOBODY, NOBODY)
  chownSync(join(here.dir, 'gcroots'), NOBODY, NOBODY)
  chmodSync(here.dir, 0o755)
  return { ...here, victim }
}

/** A job that waits for a destination that is not configured. */
function makeWaiting({ spool }: Bench, destination: string): void {
  const job = join(spool.new, 'waits.json')
  writeFileSync(job, jobText('hello', { destinations: { [destination]: { state: 'waiting', attempts: 0 } } }))
  chownSync(job, NOBODY, NOBODY)
}

function stoppedAt(
  { dir, spool, configFile, env }: Bench,
  args: readonly string[],
  at: Point | undefined,
  act: () => void,
): Promise<Stopped> {
  const log = join(dir, 'trace')
  const paths = ['', ...STATES, 'done/passwd', 'failed/evil.sh', 'paused'].flatMap((name) => [
    '-P',
    join(spool.root, name),
  ])
  const inject = at ? ['-e', `inject=${at.kind}:signal=SIGSTOP:when=${at.nth}`] : []
  const strace = ['/usr/bin/strace', '-f', '-qq', '-o', log, '-e', `trace=${TOUCHING}`, ...paths, ...inject]
  const command = [...strace, process.execPath, LAUNCHER, ...args, '--config', configFile]
  return runStopped(command, { ...env, UV_USE_IO_URING: '0' }, log, act)
}

const COMMANDS: { args: string[]; swapped: string[] }[] = [
  { args: ['requeue', 'evil.sh'], swapped: ['new', 'failed'] },
  { args: ['prune'], swapped: ['done', 'tmp'] },
  { args: ['enqueue', 'PATH'], swapped: ['new', 'tmp'] },
  { args: ['forget', 'gone'], swapped: ['new', 'cur'] },
]

test.each(COMMANDS)(
  '$args: root is led nowhere',
  { timeout: IS_WHOLE ? 1_200_000 : 120_000 },
  async ({ args, swapped }) => {
    expect(process.geteuid?.(), 'this is about root').toBe(0)
    const argsOf = (here: Bench) => {
      if (args.includes('gone')) makeWaiting(here, 'gone')
      return args.map((arg) => (arg === 'PATH' ? addToStore(here, 'hello') : arg))
    }
    const first = makeGround()
    const whole = await stoppedAt(first, argsOf(first), undefined, () => undefined)
    expect(whole.exitCode, whole.stderr).toBe(0)
    const calls = whole.trace.split('\n').flatMap((line) => /^\d+ +(\w+\(.*)$/.exec(line)?.[1] ?? [])
    const cases = spread(pointsOf(calls), 2).flatMap((point) => swapped.map((name) => ({ point, name })))
    let hit = 0
    await twoAtATime(cases, async ({ point, name }) => {
      const here = makeGround()
      const before = snapshot(here.victim)
      const stopped = await stoppedAt(here, argsOf(here), point, () => {
        renameSync(join(here.spool.root, name), join(here.spool.root, `${name}.old`))
        symlinkSync(here.victim, join(here.spool.root, name))
      })
      if (stopped.isHit) hit++
      expect(snapshot(here.victim), `${point.kind} ${point.nth}, ${name}/:\n${stopped.stderr}`).toEqual(
        before,
      )
      for (const line of stopped.stderr.split('\n').filter(Boolean)) expect(line).toMatch(/^nix-upload: /)
    })
    evidence(
      `swaps under root's ${args[0]}: ${calls.length} calls, ${hit} of ${cases.length} swaps made in time`,
    )
    expect(hit).toBeGreaterThan(0)
  },
)

function snapshot(directory: string): string[] {
  return readdirSync(directory).map((name) => {
    const { ino, uid, mode, mtimeMs } = lstatSync(join(directory, name))
    return [name, ino, uid, mode, mtimeMs, readFileSync(join(directory, name), 'utf8')].join(' ')
  })
}

describe('what is planted in the place of a file', () => {
  test('is not made by `pause`, nor waited for', async () => {
    const here = makeGround()
    for (const plant of ['symlink', 'fifo']) {
      const paused = join(here.spool.root, 'paused')
      const elsewhere = join(here.victim, 'nologin')
      if (plant === 'symlink') symlinkSync(elsewhere, paused)
      else await runProgram('/usr/bin/mkfifo', [paused], {})
      expect(await here.run(['pause'], { timeout: 30_000 })).toMatchObject({ exitCode: 0 })
      expect(existsSync(elsewhere)).toBe(false)
      expect(await here.run(['resume'])).toMatchObject({ exitCode: 0 })
      expect(existsSync(paused)).toBe(false)
    }
  })

  test.each(['symlink to /dev/zero', 'fifo'])(
    '%s: is neither waited for nor read without end',
    async (plant) => {
      const here = makeGround()
      for (const path of [
        here.spool.reportFile,
        join(here.spool.failed, 'evil.sh.reason'),
        join(here.spool.new, 'job'),
      ]) {
        if (plant === 'fifo') await runProgram('/usr/bin/mkfifo', [path], {})
        else symlinkSync('/dev/zero', path)
      }
      for (const args of [['status', '--json'], ['list'], ['show', 'evil.sh']]) {
        expect(await here.run(args, { timeout: 30_000 }), args.join(' ')).toMatchObject({
          exitCode: 0,
          stderr: '',
        })
      }
    },
  )
})

test('what root queues and requeues belongs to the owner of the spool', async () => {
  const here = makeGround()
  expect(await here.run(['enqueue', addToStore(here, 'hello')])).toMatchObject({ exitCode: 0 })
  expect(await here.run(['requeue', 'evil.sh'])).toMatchObject({ exitCode: 0 })
  const owners = readdirSync(here.spool.new).map((name) => lstatSync(join(here.spool.new, name)).uid)
  expect(owners).toEqual([NOBODY, NOBODY])
})
