// What a power cut can leave. The hook, `enqueue` and a drain are traced once; then the power goes behind each of
// their calls, in a model of a disk that loses whatever was not synced, in every way that it can (disk.ts). What is
// promised must be there each time, whole.

import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { narinfoName, parseNarInfo } from '../../src/cache/narinfo.ts'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { parseJob } from '../../src/spool/job-file.ts'
import { STATES } from '../../src/spool/layout.ts'
import { runProgram } from '../support/run.ts'
import { afterPowerCut, type Call, callsIn, type Disk, type Kind } from './disk.ts'
import { drainArgs, inWorld } from './programs.ts'
import { evidence } from './share.ts'
import { makeValid } from './stand-in.ts'
import { closureOf, STORE, storePath } from './store.ts'
import { FATES, type Fate, fateOf, HOOK, LARGE, NIX_UPLOAD, pathsIn, type World } from './world.ts'

const KINDS: readonly Kind[] = ['journal', 'any']
const CALLS =
  'openat,write,fsync,fdatasync,syncfs,?mkdir,mkdirat,?rename,?renameat,renameat2,?symlink,symlinkat,?unlink,unlinkat'

/** Runs a program and gives the calls of it that touch the spool or the roots, or say something. */
async function traced(
  world: World,
  command: string[],
  env: Record<string, string>,
  input = '',
  more: string[] = [],
): Promise<Call[]> {
  const log = join(world.dir, 'trace')
  const args = ['-f', '-y', '-qq', '-s', '20000', '-o', log, '-e', `trace=${CALLS}`, ...more, ...command]
  const { stderr } = await runProgram('/usr/bin/strace', args, {
    env: { ...world.env, ...env },
    cwd: '/',
    input,
  })
  const places = [`${world.spool.root}/`, world.gcroots, dirname(world.cache)]
  const isOurs = (path: string) => places.some((place) => path.startsWith(place))
  // The hook reaches tmp/ through what it holds open.
  const trace = readFileSync(log, 'utf8').replaceAll('/proc/self/fd/3/', `${world.spool.tmp}/`)
  const calls = callsIn(trace).filter((call) => (call.does === 'say' ? true : isOurs(call.path)))
  expect(calls.length, stderr).toBeGreaterThan(0)
  return calls
}

/** A hand-over: from the moment that the jobs are said to be queued, each is in new/, whole and with its roots. */
function keepsHandOver(program: string, world: World, calls: readonly Call[]): void {
  let cuts = 0
  for (const kind of KINDS) {
    for (let count = 0; count <= calls.length; count++) {
      const said = calls
        .slice(0, count)
        .flatMap((call) => (call.does === 'say' ? [call.text] : []))
        .join('')
      const promised = [...said.matchAll(/\d{8}T\d{6}Z-\S+\.json/g)].map(([name]) => name)
      for (const disk of afterPowerCut(new Map(), calls, count, kind)) {
        cuts++
        const where = `${program}, power cut behind call ${count} (${kind}): ${JSON.stringify([...disk])}`
        for (const [path, text] of disk) {
          if (!path.startsWith(`${world.spool.new}/`)) continue
          const job = parseJob(Buffer.from(text), STORE)
          for (const out of job.outPaths) expect(rootsOn(disk, world, path), where).toContain(`-> ${out}`)
        }
        for (const name of promised) expect(disk.has(join(world.spool.new, name)), where).toBe(true)
      }
    }
  }
  const promises = calls.filter((call) => call.does === 'say' && /\.json/.test(call.text))
  expect(promises.length).toBeGreaterThan(0)
  evidence(`power loss, ${program}: ${calls.length} calls, ${cuts} states of the disk`)
}

function rootsOn(disk: Disk, world: World, jobPath: string): string[] {
  const prefix = `${world.gcroots}/${rootKey(jobPath.slice(jobPath.lastIndexOf('/') + 1))}.`
  return [...disk].filter(([path]) => path.startsWith(prefix)).map(([, text]) => text)
}

test('C1 to C3: a job that the hook has queued is there, whole and rooted', async () => {
  for (const outputs of [['x'], ['x', 'y']]) {
    await inWorld(async (world) => {
      const paths = outputs.map(storePath)
      const calls = await traced(world, ['/bin/sh', HOOK], {
        DRV_PATH: `${paths[0]}.drv`,
        OUT_PATHS: paths.join(' '),
      })
      keepsHandOver(`the hook with ${paths.length} outputs`, world, calls)
      // The model has teeth: no sync of the hook can be left out without it being seen.
      for (const sync of calls.filter(({ does }) => does === 'sync')) {
        const without = calls.filter((call) => call !== sync)
        expect(() => keepsHandOver('', world, without)).toThrow()
      }
    })
  }
})

test('C1 to C3: so are those that enqueue has queued', async () => {
  await inWorld(async (world) => {
    const paths = ['x', 'y', 'z'].map(storePath)
    const calls = await traced(world, [NIX_UPLOAD, 'enqueue', '-'], {}, paths.join('\n'))
    keepsHandOver('enqueue', world, calls)
  })
})

test('C4 to C14: no job is lost by a power cut at any moment of a drain, nor what was said to be uploaded', async () => {
  await inWorld(async (world) => {
    const fates = [...FATES, LARGE]
    world.settle(fates)
    const calls = await traced(world, [NIX_UPLOAD, ...drainArgs(world)], {})
    survive('drain', world, fates, calls)
    // The model has teeth: no file's sync can be left out, nor those of a directory, without it being seen.
    const fate = FATES.find(({ name }) => name === 'd-claimed.json') ?? expect.unreachable('there is one')
    const own = callsOf(fate, calls, world)
    const directories = [world.spool.done, world.cache, join(world.cache, 'nar')]
    const synced = own.flatMap((call) => (call.does === 'sync' ? [call.path] : []))
    const archives = synced.filter((path) => path.includes('.nix-upload-tmp/'))
    expect(archives.length).toBeGreaterThan(6)
    for (const path of [...archives, ...directories]) {
      const without = own.filter((call) => call.does !== 'sync' || call.path !== path)
      expect(() => survives(world, fate, without), `without the sync of ${path}`).toThrow()
    }
  })
})

test('C4 to C14: nor where so much is done at once that the whole filesystem is synced', async () => {
  await inWorld(async (world) => {
    const fates = Array.from({ length: 40 }, (_, at) => fateOf(`many-${at}`))
    for (const path of fates.flatMap(({ bytes }) => pathsIn(bytes))) makeValid(world.dir, path)
    world.settle(fates)
    // On a slow disk; what comes meanwhile waits to be synced together.
    const slow = ['-e', 'inject=fsync:delay_exit=30000']
    const calls = await traced(world, [NIX_UPLOAD, ...drainArgs(world)], {}, '', slow)
    expect(calls.filter(({ does }) => does === 'sync all').length).toBeGreaterThan(0)
    const some = fates.filter((_, at) => at % 13 === 0)
    survive('drain of many', world, some, calls)
  })
})

test('C4 to C14: nor where an earlier daemon was killed as soon as it had made the directories', async () => {
  await inWorld(async (world) => {
    world.settle()
    const made = [world.cache, join(world.cache, 'nar')].flatMap((path) => [
      path,
      join(path, '.nix-upload-tmp'),
    ])
    for (const path of made) mkdirSync(path)
    const earlier = made.map((path): Call => ({ does: 'mkdir', path }))
    const calls = await traced(world, [NIX_UPLOAD, ...drainArgs(world)], {})
    const delivered = FATES.filter(({ ends }) => ends === 'done')
    survive('drain after a kill', world, delivered, [...earlier, ...calls])
  })
})

test.each([
  { command: 'requeue', args: ['requeue', 'X.json'], at: 'done' },
  { command: 'prune', args: ['prune'], at: 'new' },
] as const)('T8, T12: a job without roots that is in new/ behind $command has them', async ({ args, at }) => {
  await inWorld(async (world) => {
    const path = storePath('x')
    const bytes = JSON.stringify({ version: 1, outPaths: [path] })
    world.put({ name: 'X.json', at, bytes, isRooted: false })
    const calls = await traced(world, [NIX_UPLOAD, ...args], {})
    const before = new Map([[join(world.spool[at], 'X.json'), bytes]])
    const job = join(world.spool.new, 'X.json')
    for (const kind of KINDS) {
      for (let count = 0; count <= calls.length; count++) {
        for (const disk of afterPowerCut(before, calls, count, kind)) {
          const where = `power cut behind call ${count} of ${calls.length} (${kind})`
          if (count === calls.length) expect(disk.get(job), where).toBe(bytes)
          const isRooted = rootsOn(disk, world, job).includes(`-> ${path}`)
          if (count === calls.length || (at === 'done' && disk.has(job))) expect(isRooted, where).toBe(true)
        }
      }
    }
  })
})

/** Whatever a power cut leaves of a drain, each of these jobs is kept, and so is what it has uploaded. */
function survive(program: string, world: World, fates: readonly Fate[], calls: readonly Call[]): void {
  for (const fate of fates) {
    const own = callsOf(fate, calls, world)
    const cuts = survives(world, fate, own)
    evidence(`power loss, ${program}, ${fate.name}: ${own.length} calls, ${cuts} states of the disk`)
  }
}

/** @returns How many states of the disk there are. */
function survives(world: World, fate: Fate, own: readonly Call[]): number {
  const { name, at, bytes, isRooted } = fate
  const roots = (isRooted ? pathsIn(bytes) : []).map(
    (path) => [world.root(name, path), `-> ${path}`] as const,
  )
  const before = new Map([[join(world.spool[at], name), bytes], ...roots])
  const files = filesOf(fate, world)
  let cuts = 0
  for (const kind of KINDS) {
    for (let count = 0; count <= own.length; count++) {
      for (const disk of afterPowerCut(before, own, count, kind)) {
        cuts++
        const where = `${name}, power cut behind call ${count} (${kind})`
        isKept(world, fate, disk, kind, where)
        isClosed(world, name, files, disk, where)
      }
    }
  }
  return cuts
}

/** What a job has in the cache, and what must be in it; of what is in the large archive, how much. */
function filesOf({ bytes, ends }: Fate, { cache }: World): Map<string, string> {
  if (ends !== 'done') return new Map()
  const paths = pathsIn(bytes).flatMap(closureOf)
  const narinfos = paths.map(narinfoName)
  const archives = narinfos.flatMap(
    (name) => parseNarInfo(readFileSync(join(cache, name), 'utf8'))?.url ?? [],
  )
  expect(archives).toHaveLength(paths.length)
  const files = ['nix-cache-info', ...narinfos, ...archives].map((name) => join(cache, name))
  return new Map(files.map((file) => [file, readFileSync(file, 'latin1')]))
}

/** The calls that a job is moved or written or uploaded by; what is done to others is independent of them. */
function callsOf(fate: Fate, calls: readonly Call[], world: World): Call[] {
  const files = filesOf(fate, world)
  const isOf = (path: string) => path.includes(`/${fate.name}`) || files.has(path)
  const temporaries = new Set(
    calls.flatMap((call) => (call.does === 'rename' && isOf(call.to) ? [call.path] : [])),
  )
  const { spool, cache, gcroots } = world
  const states = STATES.map((state) => spool[state])
  const directories = [...states, gcroots, dirname(cache), cache, join(cache, 'nar')]
  return calls.filter((call) => {
    if (call.does === 'say') return false
    if (call.does === 'mkdir' || call.does === 'sync all') return true
    if (call.does === 'sync' && directories.includes(call.path)) return true
    return isOf(call.path) || temporaries.has(call.path) || (call.does === 'rename' && isOf(call.to))
  })
}

/**
 * In one place, whole. Anywhere but in done/ it has its roots.
 */
function isKept(world: World, { name, bytes, isRooted }: Fate, disk: Disk, kind: Kind, where: string): void {
  const places = STATES.filter((state) => disk.has(join(world.spool[state], name)))
  const what = `${where}: ${[...disk].map(([path, text]) => `${path} "${text.slice(0, 300)}"`).join('\n')}`
  expect(places.length, what).toBeGreaterThan(0)
  if (kind === 'journal') expect(places, what).toHaveLength(1)
  for (const state of places) {
    const text = disk.get(join(world.spool[state], name)) ?? ''
    if (state === 'done') {
      parseJob(Buffer.from(text), STORE)
      continue
    }
    const needed = isRooted ? pathsIn(bytes) : []
    for (const path of needed)
      expect(rootsOn(disk, world, join(world.spool[state], name)), what).toContain(`-> ${path}`)
    if (text === bytes) continue
    const { destinations } = parseJob(Buffer.from(text), STORE)
    if (state === 'failed') expect(Object.values(destinations)[0]?.error, what).toBeTypeOf('string')
  }
}

/** What is in the cache is whole, with all that it tells of; and a job in done/ has all of its files there. */
function isClosed(
  world: World,
  name: string,
  files: ReadonlyMap<string, string>,
  disk: Disk,
  where: string,
): void {
  const there = [...files.keys()].filter((file) => disk.has(file))
  const what = `${where}: ${there.join(' ')}`
  for (const file of there) {
    if (disk.get(file)?.length !== files.get(file)?.length) expect.unreachable(`${file} is cut off, ${what}`)
    const info = file.endsWith('.narinfo') ? parseNarInfo(disk.get(file) ?? '') : undefined
    const references = info?.references.map((reference) => `${reference.slice(0, 32)}.narinfo`) ?? []
    for (const needed of info ? [info.url, ...references] : []) {
      if (!disk.has(join(world.cache, needed))) expect.unreachable(`${file} tells of ${needed}, ${what}`)
    }
  }
  if (disk.has(join(world.spool.done, name))) expect(there, what).toEqual([...files.keys()])
}
