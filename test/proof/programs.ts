// The programs that the proofs break, and what must be so when they are run again in peace.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect } from 'vitest'
import { GcRoots } from '../../src/nix/gc-roots.ts'
import { nameOf } from '../../src/nix/store-path.ts'
import { claim } from '../../src/spool/claim.ts'
import { recover } from '../../src/spool/recover.ts'
import { type RunResult, runProgram } from '../support/run.ts'
import { violations } from './invariants.ts'
import { evidence, IS_WHOLE, spread, twoAtATime } from './share.ts'
import { closureOf, STORE, storePath } from './store.ts'
import { type Injection, type Point, type Program, runTraced, type Traced, temporariesOf } from './strace.ts'
import { FATES, type Fate, HOOK, NIX_UPLOAD, pathsIn, VALID, World } from './world.ts'

/** A world that goes, unless the test fails: then it is what one wants to look at. */
export async function inWorld<T>(act: (world: World) => Promise<T>): Promise<T> {
  const world = new World()
  const result = await act(world)
  world.remove()
  return result
}

export function drainArgs(world: World): string[] {
  return ['drain', '--to', `file://${world.cache}`]
}

/**
 * A daemon goes on, and all is where it must be; then what crashes leave is swept, and nothing else.
 * @param fates The jobs that there are.
 */
export async function goesOn(world: World, fates = FATES): Promise<void> {
  world.ageLock()
  const { exitCode, stderr } = await runProgram(NIX_UPLOAD, drainArgs(world), { env: world.env, cwd: '/' })
  expect(fates.every(({ ends }) => ends === 'done') ? [0] : [1, 75], stderr).toContain(exitCode)
  expect(violations(world.ground, 'recovered')).toEqual([])
  for (const { name, ends } of fates) {
    expect(existsSync(join(world.spool[ends], name)), `${name} in ${ends}/ after\n${stderr}`).toBe(true)
  }
  await world.sweep()
  expect(readdirSync(world.spool.tmp)).toEqual([])
  const needed = fates.filter(({ isRooted, ends }) => isRooted && ends !== 'done').map(({ name }) => name)
  expect(readdirSync(world.gcroots).map((name) => name.replace(/\.\w{32}$/, ''))).toEqual([
    'README',
    ...needed,
  ])
  expect(existsSync(join(world.dir, 'stand-in/unexpected'))).toBe(false)
}

/** The files that a drain writes into the cache, relative to it. */
export async function filesOfDrain(fates: readonly Fate[]): Promise<string[]> {
  return await inWorld(async (world) => {
    world.settle(fates)
    await goesOn(world, fates)
    const names = readdirSync(world.cache, { recursive: true, withFileTypes: true })
    return names
      .filter((entry) => entry.isFile())
      .map((entry) => relative(world.cache, join(entry.parentPath, entry.name)))
  })
}

/** A drain that is watched where it writes these files into the cache, and nowhere else. */
export function drainIntoCache(world: World, files: readonly string[]): Program {
  const directories = [world.cache, join(world.cache, 'nar')]
  const temporary = directories.map((directory) => join(directory, '.nix-upload-tmp'))
  const places = files.map((file) => join(world.cache, file))
  const paths = [
    dirname(world.cache),
    ...directories,
    ...temporary,
    ...places,
    ...places.flatMap(temporariesOf),
  ]
  return { ...world.program(drainArgs(world)), paths }
}

/** That what is watched has the names that it is watched by: files are synced before they come in their places. */
export function seesTemporaries(threads: readonly string[][]): void {
  const made = threads.flat().filter((call) => /^openat\(.*\.nix-upload-tmp\/[^"].*O_CREAT/.test(call))
  expect(made.length).toBeGreaterThan(10)
}

/** A drain that is watched where it reads the store, and nowhere else; it packs one path after the other. */
export function drainFromStore(world: World, fates: readonly Fate[]): Program {
  const config = join(world.dir, 'config.toml')
  writeFileSync(config, `pack-jobs = 1\n[[destination]]\nto = "file://${world.cache}"\n`)
  const all = fates
    .flatMap(({ bytes }) => pathsIn(bytes))
    .flatMap((path) => (VALID.includes(path) ? closureOf(path) : []))
  const paths = [...new Set(all)].flatMap((path) => [
    path,
    join(path, 'bin'),
    join(path, 'bin', nameOf(path)),
  ])
  return { ...world.program(['drain', '--config', config]), paths }
}

/** The shell itself, and its tools: each is watched by itself, since strace counts for each process. */
export const PROCESSES = ['sh', 'date', 'ln', 'sync', 'mv', 'dd'] as const

/** A tool that dies under the hook must not fail the build, and the one line must be right. */
export function tellsTheTruth(
  world: World,
  { exitCode, stdout, stderr }: RunResult,
  mustCleanUp = true,
): void {
  expect(exitCode).toBe(0)
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line !== '')
  expect(lines).toHaveLength(1)
  const names = readdirSync(world.spool.new).filter((name) => !name.startsWith('.'))
  const line = lines[0] ?? ''
  if (names.length === 0) {
    expect(line).toMatch(/^nix-upload: not queued: /)
    if (!mustCleanUp) return
    expect(readdirSync(world.gcroots)).toEqual(['README'])
    expect(readdirSync(world.spool.tmp)).toEqual([])
  } else {
    expect(line).toMatch(
      new RegExp(`^nix-upload: (queued ${names[0]}|perhaps not queued: .*${names[0]} is in new/)`),
    )
  }
}

/** Runs the hook with one of its processes under strace. */
export async function hookUnder(
  world: World,
  process: (typeof PROCESSES)[number],
  who: 'alone' | 'all',
  /** What happens to it at which point: `signal=SIGKILL`, `error=EIO`. */
  injection?: Injection,
): Promise<{ result: RunResult; calls: string[]; isHit: boolean }> {
  const log = join(world.dir, 'trace')
  const inject = injection ? `-e inject=${injection.set}:${injection.what}:when=${injection.when}` : ''
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
    isHit: trace.includes('+++ killed by SIGKILL') || trace.includes('(INJECTED)'),
  }
}

/**
 * What is in new/ after a hand-over that was cut short: all that was promised, each job whole, with its roots, and
 * claimed by a daemon; what is left of the others is swept.
 */
export async function areWhole(world: World, promised: string[], isRooted = true): Promise<void> {
  const names = readdirSync(world.spool.new).filter((name) => !name.startsWith('.'))
  expect(names).toEqual(expect.arrayContaining(promised))
  for (const name of names) {
    const bytes = readFileSync(join(world.spool.new, name))
    expect(JSON.parse(bytes.toString())).toMatchObject({
      version: 1,
      outPaths: [expect.stringContaining(`${STORE}/`)],
    })
    world.handed.push({ name, bytes, isRooted })
  }
  expect(violations(world.ground, 'crashed')).toEqual([])
  expect(readdirSync(world.spool.tmp).length).toBeLessThanOrEqual(3)
  recover(world.spool, () => false)
  for (const name of names) {
    expect(claim(world.spool, new GcRoots(world.gcroots), STORE, name, () => true).kind).toBe('claimed')
  }
  await world.sweep()
  expect(violations(world.ground, 'recovered')).toEqual([])
  expect(readdirSync(world.spool.tmp)).toEqual([])
  expect(readdirSync(world.gcroots)).toHaveLength(1 + names.length)
}

/**
 * Lets something happen at each point of a run, and at those behind until nothing happens any more; or at a share. Each
 * time in a world of its own.
 * @param act Returns whether it came to that point.
 */
export async function everyPoint(
  program: string,
  points: readonly Point[],
  share: number,
  act: (at: Point, world: World) => Promise<boolean>,
): Promise<void> {
  expect(points.length).toBeGreaterThan(0)
  const comesTo = (at: Point) => inWorld((world) => act(at, world))
  const chosen = spread(points, share)
  let hit = 0
  const missed: string[] = []
  await twoAtATime(chosen, async (at) => {
    if (await comesTo(at)) hit++
    else missed.push(`${at.kind} ${at.nth}`)
  })
  // Runs differ by a call or two: whether a directory's listing needs one more read, say.
  let beyond = 0
  for (const kind of IS_WHOLE ? new Set(points.map((point) => point.kind)) : []) {
    let nth = points.filter((point) => point.kind === kind).length
    while (await comesTo({ kind, nth: ++nth })) beyond++
  }
  const which = missed.length === 0 ? '' : `; not come to: ${missed.join(', ')}`
  evidence(
    `${program}: ${points.length + beyond} crash points, ${hit + beyond} of ${chosen.length + beyond} hit${which}`,
  )
  // The others were not there in that run, which was to its end what it should be all the same.
  expect(missed.length).toBeLessThanOrEqual(Math.ceil(chosen.length / 10))
}

export function namesIn(stdout: string): string[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .sort()
}

/** Queues three paths at once. */
export function enqueueIn(world: World, set: string, injection?: Injection): Promise<Traced> {
  const paths = ['x', 'y', 'z'].map(storePath)
  const program = world.program(['enqueue', '-'], paths.join('\n'))
  program.paths = [...program.paths, ...paths]
  return runTraced(program, set, injection)
}
