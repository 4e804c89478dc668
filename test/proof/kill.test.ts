// Every program is killed (SIGKILL) at each of its system calls that touch the spool or the GC roots, one run a call,
// up to the run that comes to its end by itself; the hook at each system call whatsoever, of the shell and of each of
// its tools. Then what is there is checked as it lies, and again when a daemon has gone on with it.
//
// All of them with PROOF=1 (`npm run proof`), a share that is spread evenly otherwise. Nix is a stand-in here, see
// stand-in.ts; a few points with real Nix are in real-nix.test.ts.

import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { storePath } from '../spool/temp-spool.ts'
import { runProgram } from '../support/run.ts'
import { violations } from './invariants.ts'
import {
  areWhole,
  drainArgs,
  enqueueIn,
  everyPoint,
  goesOn,
  hookUnder,
  inWorld,
  namesIn,
  PROCESSES,
  tellsTheTruth,
} from './programs.ts'
import { IS_WHOLE } from './share.ts'
import { type Injection, LOCK_CALLS, type Point, pointsOf, runTraced, SETS } from './strace.ts'
import { NIX_UPLOAD, type World } from './world.ts'

const TIMEOUT = { timeout: IS_WHOLE ? 3_600_000 : 120_000 }
const KILL = 'signal=SIGKILL'

test('drain: recover, claim, reject, deliver, settle, record, release', TIMEOUT, async () => {
  const kill =
    (set: string, paths: (world: World) => readonly string[]) =>
    async ({ kind, nth }: Point, world: World) => {
      world.settle()
      const program = { ...world.program(drainArgs(world)), paths: paths(world) }
      const killed = await runTraced(program, set, { set: kind, what: KILL, when: `${nth}` })
      expect(violations(world.ground, 'crashed'), `killed at ${kind} ${nth}`).toEqual([])
      await goesOn(world)
      return killed.isHit
    }
  const { main, lock } = await callsOfDrain()
  await everyPoint(
    'drain',
    main,
    8,
    kill(SETS.kill, (world) => world.program([]).paths),
  )
  // What proper-lockfile does in Node's thread pool, where strace counts anew.
  await everyPoint(
    "drain's lock",
    lock,
    2,
    kill(LOCK_CALLS, (world) => [world.spool.lockDir]),
  )
})

test(
  'drain --linger: the same loop as `watch`, with its bells, and a service manager to tell',
  TIMEOUT,
  async () => {
    const set = `${SETS.kill},inotify_add_watch`
    const run = (world: World, at?: Point) => {
      world.settle()
      const program = world.program([...drainArgs(world), '--linger', '1s'])
      program.env = { ...program.env, NOTIFY_SOCKET: join(world.dir, 'notify'), WATCHDOG_USEC: '200000' }
      return runTraced(program, set, killAt(at))
    }
    const points = await inWorld(async (world) => {
      const { calls, exitCode, stderr } = await run(world)
      const all = pointsOf(calls[0] ?? [])
      expect(exitCode, stderr).toBe(1)
      expect(all.some(({ kind }) => kind === 'inotify_add_watch')).toBe(true)
      return all
    })
    await everyPoint('drain --linger', points, 3, async (at, world) => {
      const { isHit } = await run(world, at)
      expect(violations(world.ground, 'crashed'), `killed at ${at.kind} ${at.nth}`).toEqual([])
      await goesOn(world)
      return isHit
    })
  },
)

test('enqueue: three paths at once', TIMEOUT, async () => {
  const points = await inWorld(async (world) => {
    const { calls, stdout } = await enqueueIn(world, SETS.kill)
    expect(namesIn(stdout)).toEqual(readdirSync(world.spool.new).filter((name) => !name.startsWith('.')))
    return pointsOf(calls[0] ?? [])
  })
  await everyPoint('enqueue', points, 6, async (at, world) => {
    const result = await enqueueIn(world, SETS.kill, killAt(at))
    await areWhole(world, namesIn(result.stdout), join(world.dir, 'store'))
    return result.isHit
  })
})

test('requeue and prune', TIMEOUT, async () => {
  const prepare = (world: World) => {
    world.put({ name: 'failed.json', at: 'failed', bytes: jobText('x', 'failed'), isRooted: true })
    world.put({ name: 'kept.json', at: 'done', bytes: jobText('y', 'done'), isRooted: true })
    upload(world, storePath('y'))
    for (const name of ['old-1', 'old-2']) {
      writeFileSync(join(world.spool.done, name), jobText('z', 'done'))
      writeFileSync(join(world.spool.tmp, name), 'half')
      utimesSync(join(world.spool.done, name), 0, 0)
      utimesSync(join(world.spool.tmp, name), 0, 0)
    }
    upload(world, storePath('z'))
  }
  for (const { args, share } of [
    { args: ['requeue', 'failed.json'], share: 3 },
    { args: ['prune'], share: 3 },
  ]) {
    const run = async (world: World, at?: Point) => {
      prepare(world)
      const program = world.program(args)
      const more = ['old-1', 'old-2'].flatMap((name) => [
        join(world.spool.done, name),
        join(world.spool.tmp, name),
      ])
      program.paths = [...program.paths, ...more]
      return runTraced(program, SETS.kill, killAt(at))
    }
    const points = await inWorld(async (world) => {
      const { calls, exitCode, stderr } = await run(world)
      expect(exitCode, stderr).toBe(0)
      return pointsOf(calls[0] ?? [])
    })
    await everyPoint(args[0] ?? '', points, share, async (at, world) => {
      const { isHit } = await run(world, at)
      expect(violations(world.ground, 'crashed')).toEqual([])
      // Once more, to its end.
      const again = await runProgram(NIX_UPLOAD, args, { env: world.env, cwd: '/' })
      if (args[0] === 'prune') expect(again).toMatchObject({ exitCode: 0 })
      expect(violations(world.ground, 'crashed')).toEqual([])
      const old = ['old-1', 'old-2'].filter((name) => existsSync(join(world.spool.done, name)))
      expect(old).toEqual(args[0] === 'prune' ? [] : ['old-1', 'old-2'])
      expect(existsSync(join(world.spool.new, 'failed.json'))).toBe(args[0] === 'requeue')
      return isHit
    })
  }
})

test.each([
  { who: 'alone', what: 'that process alone, as the kernel does when memory is short' },
  { who: 'all', what: 'it and the shell at one blow' },
] as const)('the hook: kills $what', TIMEOUT, async ({ who }) => {
  for (const process of PROCESSES) {
    if (process === 'sh' && who === 'alone') continue
    const points = await inWorld(async (world) => {
      const { result, calls } = await hookUnder(world, process, who)
      // execve: strace itself is killed there, before there is a process to count for.
      expect(result).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^nix-upload: queued \S+$/) })
      return pointsOf(calls).filter(({ kind }) => kind !== 'execve')
    })
    await everyPoint(
      `the hook's ${process} (${who})`,
      points,
      process === 'sh' ? 16 : 3,
      async (at, world) => {
        const { result, ...watched } = await hookUnder(world, process, who, killAt(at))
        if (watched.isHit && who === 'alone') tellsTheTruth(world, result)
        const [, queued] = /^nix-upload: queued (\S+)/.exec(result.stdout) ?? []
        // Without ln there are no roots, and the hook says so.
        const isRooted = !result.stdout.includes(', but its paths are not protected from garbage collection')
        await areWhole(world, queued === undefined ? [] : [queued.replace(/,$/, '')], '/nix/store', isRooted)
        return watched.isHit
      },
    )
  }
})

async function callsOfDrain(): Promise<{ main: Point[]; lock: Point[] }> {
  let [main, lock]: Point[][] = []
  await inWorld(async (world) => {
    world.settle()
    const { calls, exitCode, stderr } = await runTraced(world.program(drainArgs(world)), SETS.kill)
    expect(exitCode, stderr).toBe(1)
    main = pointsOf(calls[0] ?? [])
    lock = pointsOf(calls.slice(1).flat())
    await goesOn(world)
  })
  return { main: main ?? [], lock: lock ?? [] }
}

function killAt(at: Point | undefined): Injection | undefined {
  return at && { set: at.kind, what: KILL, when: `${at.nth}` }
}

function jobText(name: string, state: 'done' | 'failed'): string {
  const destinations = { default: { state, attempts: 1, settledAt: '2026-11-20T03:14:02Z' } }
  return `${JSON.stringify({ version: 1, outPaths: [storePath(name)], destinations })}\n`
}

/** Puts a path at the destination. */
function upload(world: World, path: string): void {
  const base = path.slice('/nix/store/'.length)
  mkdirSync(join(world.cache, 'nar'), { recursive: true })
  writeFileSync(join(world.cache, 'nar', base), '')
  writeFileSync(join(world.cache, `${base.slice(0, 32)}.narinfo`), `StorePath: ${path}\nURL: nar/${base}\n`)
}
