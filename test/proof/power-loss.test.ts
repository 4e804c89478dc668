// What a power cut can leave. The hook, `enqueue` and a drain are traced once; then the power goes behind each of
// their calls, in a model of a disk that loses whatever was not synced, in every way that it can (disk.ts). What is
// promised must be there each time, whole.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { parseJob } from '../../src/spool/job.ts'
import { STATES } from '../../src/spool/layout.ts'
import { storePath } from '../spool/temp-spool.ts'
import { runProgram } from '../support/run.ts'
import { afterPowerCut, type Call, callsIn, type Disk, type Kind } from './disk.ts'
import { drainArgs, inWorld, makeStore } from './programs.ts'
import { evidence } from './share.ts'
import { FATES, HOOK, NIX_UPLOAD, type World } from './world.ts'

const KINDS: readonly Kind[] = ['journal', 'any']
const CALLS = 'openat,write,fsync,fdatasync,?rename,?renameat,renameat2,?symlink,symlinkat,?unlink,unlinkat'

/** Runs a program and gives the calls of it that touch the spool or the roots, or say something. */
async function traced(
  world: World,
  command: string[],
  env: Record<string, string>,
  input = '',
): Promise<Call[]> {
  const log = join(world.dir, 'trace')
  const args = ['-f', '-y', '-qq', '-s', '20000', '-o', log, '-e', `trace=${CALLS}`, ...command]
  const { stderr } = await runProgram('/usr/bin/strace', args, {
    env: { ...world.env, ...env },
    cwd: '/',
    input,
  })
  const isOurs = (path: string) => path.startsWith(`${world.spool.root}/`) || path.startsWith(world.gcroots)
  // The hook reaches tmp/ through what it holds open.
  const trace = readFileSync(log, 'utf8').replaceAll('/proc/self/fd/3/', `${world.spool.tmp}/`)
  const calls = callsIn(trace).filter((call) => (call.does === 'say' ? true : isOurs(call.path)))
  expect(calls.length, stderr).toBeGreaterThan(0)
  return calls
}

/** A hand-over: from the moment that the jobs are said to be queued, each is in new/, whole and with its roots. */
function keepsHandOver(program: string, world: World, calls: readonly Call[], storeDir: string): void {
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
          const job = parseJob(Buffer.from(text), storeDir)
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
      keepsHandOver(`the hook with ${paths.length} outputs`, world, calls, '/nix/store')
      // The model has teeth: no sync of the hook can be left out without it being seen.
      for (const sync of calls.filter(({ does }) => does === 'sync')) {
        const without = calls.filter((call) => call !== sync)
        expect(() => keepsHandOver('', world, without, '/nix/store')).toThrow()
      }
    })
  }
})

test('C1 to C3: so are those that enqueue has queued', async () => {
  await inWorld(async (world) => {
    const store = makeStore(world, ['x', 'y', 'z'].map(storePath))
    const paths = readdirSync(store).map((name) => join(store, name))
    const calls = await traced(
      world,
      [NIX_UPLOAD, 'enqueue', '-'],
      { NIX_STORE_DIR: store },
      paths.join('\n'),
    )
    keepsHandOver('enqueue', world, calls, store)
  })
})

test('C4 to C14: no job is lost by a power cut at any moment of a drain', async () => {
  await inWorld(async (world) => {
    world.settle()
    const calls = await traced(world, [NIX_UPLOAD, ...drainArgs(world)], {})
    for (const { name, at, bytes } of FATES) {
      const before = new Map([[join(world.spool[at], name), bytes]])
      const own = callsOf(name, calls)
      let cuts = 0
      for (const kind of KINDS) {
        for (let count = 0; count <= own.length; count++) {
          for (const disk of afterPowerCut(before, own, count, kind)) {
            cuts++
            isKept(world, name, bytes, disk, kind, `${name}, power cut behind call ${count} (${kind})`)
          }
        }
      }
      evidence(`power loss, drain, ${name}: ${own.length} calls, ${cuts} states of the disk`)
    }
  })
})

/** The calls that a job is moved or written by; what is done to others is independent of them. */
function callsOf(name: string, calls: readonly Call[]): Call[] {
  const isOf = (path: string) => path.includes(`/${name}`)
  const temporaries = new Set(
    calls.flatMap((call) =>
      call.does === 'rename' && isOf(call.to) && call.path.includes('/tmp/') ? [call.path] : [],
    ),
  )
  return calls.filter((call) => {
    if (call.does === 'say') return false
    if (call.does === 'sync' && /\/(new|cur|done|failed|gcroots)$/.test(call.path)) return true
    return isOf(call.path) || temporaries.has(call.path) || (call.does === 'rename' && isOf(call.to))
  })
}

/** In one place, whole; in done/ the record of a delivery may be lost, since nothing else is lost with it (C12). */
function isKept(world: World, name: string, bytes: string, disk: Disk, kind: Kind, where: string): void {
  const places = STATES.filter((state) => disk.has(join(world.spool[state], name)))
  const what = `${where}: ${JSON.stringify([...disk])}`
  expect(places.length, what).toBeGreaterThan(0)
  if (kind === 'journal') expect(places, what).toHaveLength(1)
  for (const state of places) {
    const text = disk.get(join(world.spool[state], name)) ?? ''
    if (state === 'done' || text === bytes) continue
    const { destinations } = parseJob(Buffer.from(text), '/nix/store')
    if (state === 'failed') expect(Object.values(destinations)[0]?.error, what).toBeTypeOf('string')
  }
}
