// Every program is killed (SIGKILL) at each of its system calls that touch the spool, the GC roots or the cache, one run a
// call, up to the run that comes to its end by itself; the hook at each system call whatsoever, of the shell and of each of
// its tools. Then what is there is checked as it lies, and again when a daemon has gone on with it.
//
// All of them with PROOF=1 (`npm run proof`), a share that is spread evenly otherwise. Nix is a stand-in here, see
// stand-in.ts; a few points with real Nix are in real-nix.test.ts.

import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { narinfoName } from '../../src/cache/narinfo.ts'
import { hashText } from '../../src/nix/nar-hash.ts'
import { runProgram } from '../support/run.ts'
import { violations } from './invariants.ts'
import {
  areWhole,
  drainArgs,
  drainIntoCache,
  enqueueIn,
  everyPoint,
  filesOfDrain,
  goesOn,
  hookUnder,
  inWorld,
  namesIn,
  PROCESSES,
  seesTemporaries,
  tellsTheTruth,
} from './programs.ts'
import { IS_WHOLE } from './share.ts'
import { inStore, storePath } from './store.ts'
import { type Injection, type Point, pointsOf, pointsOfAll, runTraced, SETS } from './strace.ts'
import { FATES, LARGE, NIX_UPLOAD, type World } from './world.ts'

const TIMEOUT = { timeout: IS_WHOLE ? 3_600_000 : 120_000 }
const KILL = 'signal=SIGKILL'

test('drain: recover, claim, reject, deliver, settle, record, release', TIMEOUT, async () => {
  const kill =
    (paths: (world: World) => readonly string[]) =>
    async ({ kind, nth }: Point, world: World) => {
      world.settle()
      const program = { ...world.program(drainArgs(world)), paths: paths(world) }
      const killed = await runTraced(program, SETS.kill, { set: kind, what: KILL, when: `${nth}` })
      expect(violations(world.ground, 'crashed'), `killed at ${kind} ${nth}`).toEqual([])
      await goesOn(world)
      return killed.isHit
    }
  const inPool = ({ spool }: World) => [spool.lockDir, spool.done]
  const watched = (world: World) => world.program([]).paths
  await everyPoint('drain', await callsOfDrain('main', watched), 8, kill(watched))
  // What is done in Node's thread pool, where strace counts anew: the lock, and the sync of what is done.
  await everyPoint("drain's pool", await callsOfDrain('pool', inPool), 3, kill(inPool))
})

test('drain: the threads that write the cache', TIMEOUT, async () => {
  const fates = [...FATES, LARGE]
  const files = await filesOfDrain(fates)
  const run = (world: World, at?: Point) => {
    world.settle(fates)
    return runTraced(drainIntoCache(world, files), SETS.kill, killAt(at))
  }
  const points = await inWorld(async (world) => {
    const { calls, exitCode, stderr } = await run(world)
    expect(exitCode, stderr).toBe(1)
    seesTemporaries(calls)
    return pointsOfAll(calls)
  })
  await everyPoint("drain's cache", points, 6, async (at, world) => {
    const { isHit } = await run(world, at)
    expect(violations(world.ground, 'crashed'), `killed at ${at.kind} ${at.nth}`).toEqual([])
    await goesOn(world, fates)
    return isHit
  })
})

test(
  'drain --linger: the same loop as `watch`, with its bells, and a service manager to tell',
  TIMEOUT,
  async () => {
    const set = `${SETS.kill},inotify_add_watch`
    const run = (world: World, at?: Point) => {
      world.settle()
      // Three seconds pass until this one is judged, and the lock is renewed meanwhile.
      utimesSync(join(world.spool.new, 'b-invalid.json'), new Date(), new Date())
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
    await areWhole(world, namesIn(result.stdout))
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
        await areWhole(world, queued === undefined ? [] : [queued.replace(/,$/, '')], isRooted)
        return watched.isHit
      },
    )
  }
})

/** The points of a drain where these paths are watched: of its main thread, or of the one in its pool. */
async function callsOfDrain(
  thread: 'main' | 'pool',
  paths: (world: World) => readonly string[],
): Promise<Point[]> {
  return await inWorld(async (world) => {
    world.settle()
    const program = { ...world.program(drainArgs(world)), paths: paths(world) }
    const { calls, exitCode, stderr } = await runTraced(program, SETS.kill)
    expect(exitCode, stderr).toBe(1)
    await goesOn(world)
    const lock = `mkdir("${world.spool.lockDir}"`
    const isPool = (one: readonly string[]) => one.some((call) => call.startsWith(lock))
    return pointsOf(calls.find((one) => isPool(one) === (thread === 'pool')) ?? [])
  })
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
  const { narHash, narSize } = inStore(path)
  const archive = `${path}\n`
  const fileHash = hashText(createHash('sha256').update(archive).digest())
  const url = `nar/${fileHash.slice('sha256:'.length)}.nar`
  mkdirSync(join(world.cache, 'nar'), { recursive: true })
  writeFileSync(join(world.cache, url), archive)
  const narinfo = [`StorePath: ${path}`, `URL: ${url}`, `FileHash: ${fileHash}`, `NarHash: ${narHash}`]
  writeFileSync(join(world.cache, narinfoName(path)), `${narinfo.join('\n')}\nNarSize: ${narSize}\n`)
}
