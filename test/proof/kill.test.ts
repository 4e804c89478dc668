// Every program is killed (SIGKILL) at each of its system calls that touch the spool or the GC roots, one run a call,
// up to the run that comes to its end by itself; the hook at each system call whatsoever, of the shell and of each of
// its tools. Then what is there is checked as it lies, and again when a daemon has gone on with it.
//
// All of them with PROOF=1 (`npm run proof`), a share that is spread evenly otherwise. Nix is a stand-in here, see
// stand-in.ts; a few points with real Nix are in real-nix.test.ts.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { GcRoots } from '../../src/nix/gc-roots.ts'
import { claim } from '../../src/spool/claim.ts'
import { recover } from '../../src/spool/recover.ts'
import { storePath } from '../spool/temp-spool.ts'
import { type RunResult, runProgram } from '../support/run.ts'
import { violations } from './invariants.ts'
import { evidence, IS_WHOLE, spread, twoAtATime } from './share.ts'
import { type Injection, LOCK_CALLS, type Point, pointsOf, runTraced, SETS } from './strace.ts'
import { FATES, HOOK, NIX_UPLOAD, World } from './world.ts'

const TIMEOUT = { timeout: IS_WHOLE ? 3_600_000 : 120_000 }
const KILL = 'signal=SIGKILL'

/** A world that goes, unless the test fails: then it is what one wants to look at. */
async function inWorld(act: (world: World) => Promise<void>): Promise<void> {
  const world = new World()
  await act(world)
  world.remove()
}

function drainArgs(world: World): string[] {
  return ['drain', '--to', `file://${world.cache}`]
}

/** A daemon goes on, and all is where it must be; then what crashes leave is swept, and nothing else. */
async function goesOn(world: World): Promise<void> {
  world.ageLock()
  const { exitCode, stderr } = await runProgram(NIX_UPLOAD, drainArgs(world), { env: world.env, cwd: '/' })
  expect([1, 75], stderr).toContain(exitCode)
  expect(violations(world.ground, 'recovered')).toEqual([])
  for (const { name, ends } of FATES) {
    expect(existsSync(join(world.spool[ends], name)), `${name} in ${ends}/ after\n${stderr}`).toBe(true)
  }
  await world.sweep()
  expect(readdirSync(world.spool.tmp)).toEqual([])
  expect(readdirSync(world.gcroots).map((name) => name.replace(/\.\w{32}$/, ''))).toEqual([
    'README',
    'c-gone.json',
    'f-refused.json',
  ])
  expect(existsSync(join(world.dir, 'stand-in/unexpected'))).toBe(false)
}

test('drain: recover, claim, reject, deliver, settle, record, release', TIMEOUT, async () => {
  const kill =
    (set: string, paths: (world: World) => readonly string[]) =>
    async ({ kind, nth }: Point) => {
      let isHit = false
      await inWorld(async (world) => {
        world.settle()
        const program = { ...world.program(drainArgs(world)), paths: paths(world) }
        const killed = await runTraced(program, set, { set: kind, what: KILL, when: `${nth}` })
        isHit = killed.isHit
        expect(violations(world.ground, 'crashed'), `killed at ${kind} ${nth}`).toEqual([])
        await goesOn(world)
      })
      return isHit
    }
  const { main, lock } = await callsOfDrain()
  await everyPoint(
    'drain',
    main,
    24,
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

test('enqueue: three paths at once', TIMEOUT, async () => {
  const paths = ['x', 'y', 'z'].map(storePath)
  const run = async (world: World, at?: Point) => {
    const program = world.program(['enqueue', '-'], paths.join('\n'))
    // Outside a real store there is nothing for lstat(2) to find.
    program.env = { ...program.env, NIX_STORE_DIR: makeStore(world, paths) }
    program.input = paths.map((path) => inStore(world, path)).join('\n')
    program.paths = [...program.paths, ...paths.map((path) => inStore(world, path))]
    return runTraced(program, SETS.kill, killAt(at))
  }
  let points: Point[] = []
  await inWorld(async (world) => {
    const { calls, stdout } = await run(world)
    points = pointsOf(calls[0] ?? [])
    expect(namesIn(stdout)).toEqual(readdirSync(world.spool.new).filter((name) => !name.startsWith('.')))
  })
  await everyPoint('enqueue', points, 6, async (at) => {
    let isHit = false
    await inWorld(async (world) => {
      const result = await run(world, at)
      isHit = result.isHit
      await areWhole(world, namesIn(result.stdout), join(world.dir, 'store'))
    })
    return isHit
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
    let points: Point[] = []
    await inWorld(async (world) => {
      const { calls, exitCode, stderr } = await run(world)
      points = pointsOf(calls[0] ?? [])
      expect(exitCode, stderr).toBe(0)
    })
    await everyPoint(args[0] ?? '', points, share, async (at) => {
      let isHit = false
      await inWorld(async (world) => {
        isHit = (await run(world, at)).isHit
        expect(violations(world.ground, 'crashed')).toEqual([])
        // Once more, to its end.
        const again = await runProgram(NIX_UPLOAD, args, { env: world.env, cwd: '/' })
        if (args[0] === 'prune') expect(again).toMatchObject({ exitCode: 0 })
        expect(violations(world.ground, 'crashed')).toEqual([])
        const old = ['old-1', 'old-2'].filter((name) => existsSync(join(world.spool.done, name)))
        expect(old).toEqual(args[0] === 'prune' ? [] : ['old-1', 'old-2'])
        expect(existsSync(join(world.spool.new, 'failed.json'))).toBe(args[0] === 'requeue')
      })
      return isHit
    })
  }
})

/** The shell itself, and its tools: each is watched by itself, since strace counts for each process. */
const PROCESSES = ['sh', 'date', 'ln', 'sync', 'mv', 'dd'] as const

test.each([
  { who: 'alone', what: 'that process alone, as the kernel does when memory is short' },
  { who: 'all', what: 'it and the shell at one blow' },
] as const)('the hook: kills $what', TIMEOUT, async ({ who }) => {
  for (const process of PROCESSES) {
    if (process === 'sh' && who === 'alone') continue
    let points: Point[] = []
    await inWorld(async (world) => {
      const { result, calls } = await hookUnder(world, process, who)
      // execve: strace itself is killed there, before there is a process to count for.
      points = pointsOf(calls).filter(({ kind }) => kind !== 'execve')
      expect(result).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^nix-upload: queued \S+$/) })
    })
    await everyPoint(`the hook's ${process} (${who})`, points, process === 'sh' ? 24 : 5, async (at) => {
      let isHit = false
      await inWorld(async (world) => {
        const { result, isKilled } = await hookUnder(world, process, who, at)
        isHit = isKilled
        if (isKilled && who === 'alone') tellsTheTruth(world, result)
        const [, queued] = /^nix-upload: queued (\S+)/.exec(result.stdout) ?? []
        // Without ln there are no roots, and the hook says so.
        const isRooted = !result.stdout.includes(', but its paths are not protected from garbage collection')
        await areWhole(world, queued === undefined ? [] : [queued.replace(/,$/, '')], '/nix/store', isRooted)
      })
      return isHit
    })
  }
})

/** A tool that dies under the hook must not fail the build, and the one line must be right. */
function tellsTheTruth(world: World, { exitCode, stdout, stderr }: RunResult): void {
  expect(exitCode).toBe(0)
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line !== '')
  expect(lines).toHaveLength(1)
  const names = readdirSync(world.spool.new).filter((name) => !name.startsWith('.'))
  const line = lines[0] ?? ''
  if (names.length === 0) {
    expect(line).toMatch(/^nix-upload: not queued: /)
    expect(readdirSync(world.gcroots)).toEqual(['README'])
    expect(readdirSync(world.spool.tmp)).toEqual([])
  } else {
    expect(line).toMatch(
      new RegExp(`^nix-upload: (queued ${names[0]}|not queued for certain: .*${names[0]} is there)`),
    )
  }
}

/** Runs the hook with one of its processes under strace. */
async function hookUnder(
  world: World,
  process: (typeof PROCESSES)[number],
  who: 'alone' | 'all',
  at?: Point,
): Promise<{ result: RunResult; calls: string[]; isKilled: boolean }> {
  const log = join(world.dir, 'trace')
  const inject = at === undefined ? '' : `-e inject=${at.kind}:${KILL}:when=${at.nth}`
  const strace = `/usr/bin/strace -qq -o ${log} -e trace=all ${inject}`
  const bin = join(world.dir, 'watched')
  mkdirSync(bin)
  if (process !== 'sh') {
    const end = who === 'all' ? '[ $code != 137 ] || kill -9 $PPID' : ':'
    writeFileSync(
      join(bin, process),
      `#!/bin/sh\n${strace} /usr/bin/${process} "$@"\ncode=$?\n${end}\nexit $code\n`,
    )
    chmodSync(join(bin, process), 0o755)
  }
  const env = {
    ...world.env,
    PATH: `${bin}:${world.env.PATH}`,
    DRV_PATH: `${storePath('x')}.drv`,
    OUT_PATHS: storePath('x'),
  }
  const command = process === 'sh' ? `exec ${strace} /bin/sh ${HOOK}` : `exec /bin/sh ${HOOK}`
  const result = await runProgram('/bin/sh', ['-c', command], { env, cwd: '/' })
  const trace = existsSync(log) ? readFileSync(log, 'utf8') : ''
  return {
    result,
    calls: trace.split('\n').filter((line) => /^\w+\(/.test(line)),
    isKilled: trace.includes('+++ killed by SIGKILL'),
  }
}

/**
 * What is in new/ after a hand-over that was cut short: all that was promised, each job whole, with its roots, and
 * claimed by a daemon; what is left of the others is swept.
 */
async function areWhole(world: World, promised: string[], storeDir: string, isRooted = true): Promise<void> {
  const names = readdirSync(world.spool.new).filter((name) => !name.startsWith('.'))
  expect(names).toEqual(expect.arrayContaining(promised))
  for (const name of names) {
    const bytes = readFileSync(join(world.spool.new, name))
    expect(JSON.parse(bytes.toString())).toMatchObject({
      version: 1,
      outPaths: [expect.stringContaining(storeDir)],
    })
    world.handed.push({ name, bytes, isRooted })
  }
  const ground = { ...world.ground, storeDir }
  expect(violations(ground, 'crashed')).toEqual([])
  expect(readdirSync(world.spool.tmp).length).toBeLessThanOrEqual(3)
  recover(world.spool, () => false)
  for (const name of names) {
    expect(claim(world.spool, new GcRoots(world.gcroots), storeDir, name, () => true).kind).toBe('claimed')
  }
  await world.sweep()
  expect(violations(ground, 'recovered')).toEqual([])
  expect(readdirSync(world.spool.tmp)).toEqual([])
  expect(readdirSync(world.gcroots)).toHaveLength(1 + names.length)
}

/**
 * Lets something happen at each point of a run, and at those behind until nothing happens any more; or at a share.
 * @param act Returns whether it came to that point.
 */
async function everyPoint(
  program: string,
  points: readonly Point[],
  share: number,
  act: (at: Point) => Promise<boolean>,
): Promise<void> {
  expect(points.length).toBeGreaterThan(0)
  const chosen = spread(points, share)
  let hit = 0
  const missed: string[] = []
  await twoAtATime(chosen, async (at) => {
    if (await act(at)) hit++
    else missed.push(`${at.kind} ${at.nth}`)
  })
  // Runs differ by a call or two: whether a directory's listing needs one more read, say.
  let beyond = 0
  for (const kind of IS_WHOLE ? new Set(points.map((point) => point.kind)) : []) {
    let nth = points.filter((point) => point.kind === kind).length
    while (await act({ kind, nth: ++nth })) beyond++
  }
  const which = missed.length === 0 ? '' : `; not come to: ${missed.join(', ')}`
  evidence(
    `${program}: ${points.length + beyond} crash points, ${hit + beyond} of ${chosen.length + beyond} hit${which}`,
  )
  // The others were not there in that run, which was to its end what it should be all the same.
  expect(missed.length).toBeLessThanOrEqual(Math.ceil(chosen.length / 10))
}

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

function namesIn(stdout: string): string[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .sort()
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

/** A store directory with these paths in it. */
function makeStore(world: World, paths: string[]): string {
  const store = join(world.dir, 'store')
  mkdirSync(store, { recursive: true })
  for (const path of paths) writeFileSync(inStore(world, path), '')
  return store
}

function inStore(world: World, path: string): string {
  return join(world.dir, 'store', path.slice('/nix/store/'.length))
}
