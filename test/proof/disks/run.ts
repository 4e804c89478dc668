// A run of the hook, `enqueue`, `drain` and `requeue` on recorded disks, and what they promised when.

import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { HOOK, NIX_UPLOAD } from '../../integration/site.ts'
import { must } from '../../support/run.ts'
import type { Bed, Job } from './bed.ts'
import type { Disks, Recording } from './disks.ts'

export interface Run {
  recording: Recording
  /** All jobs. */
  jobs: readonly Job[]
  /** A job that was done, and from when on it must be in `new/` again. */
  requeued: { name: string; since: number }
}

/**
 * `busy`: the programs are slow, and others sync files of theirs on the same disks all the time. So a journal is written
 * between any two steps of a program, with all names and without the bytes that nobody has synced.
 * `without syncs`: no sync of the programs is done.
 */
export type Manner = 'quiet' | 'busy' | 'without syncs'

const STEPS = '?rename,renameat2,?unlink,unlinkat,?symlink,symlinkat,?mkdir'
const SYNCS = 'fsync,fdatasync,syncfs'
const STRACE = ['strace', '-f', '-qq', '--seccomp-bpf', '-e', 'signal=none', '-o', '/dev/null']
const BEFORE: Readonly<Record<Manner, readonly string[]>> = {
  quiet: [],
  busy: [...STRACE, '-e', `trace=${STEPS}`, '-e', `inject=${STEPS}:delay_exit=5000`],
  'without syncs': [...STRACE, '-e', `trace=${SYNCS}`, '-e', `inject=${SYNCS}:retval=0`],
}

export async function run(bed: Bed, manner: Manner): Promise<Run> {
  const { disks, site, cache, earlier, made } = bed
  const jobs = [...earlier]
  let requeued = { name: '', since: 0 }
  const call = (args: string[], env: Record<string, string> = {}, input = '') => {
    const [command = '', ...rest] = [...BEFORE[manner], ...args]
    return site.nix.run(command, rest, { cwd: '/', env: { ...site.env, ...env }, input })
  }
  const recording = await disks.record(async (position) => {
    /** @param said What a program printed that has queued these, a job each. */
    const handedOver = (said: string, paths: readonly string[]) => {
      const since = position()
      const names = [...said.matchAll(/\d{8}T\d{6}Z-\S+\.json/g)].map(([name]) => name)
      if (names.length !== paths.length) throw new Error(`${paths.join(' ')} are not queued: ${said}`)
      for (const [at, name] of names.entries()) {
        const own = paths.slice(at, at + 1)
        const bytes = Buffer.from(JSON.stringify({ version: 1, outPaths: own }))
        jobs.push({ name, bytes, paths: own, isRooted: true, since })
      }
      return names
    }
    const hook = async (path: string) => handedOver((await call([HOOK], { OUT_PATHS: path })).stdout, [path])
    const enqueue = async (paths: readonly string[]) => {
      const queued = await call([NIX_UPLOAD, 'enqueue', '-'], {}, paths.join('\n'))
      handedOver(must(queued, 'queue').stdout, paths)
    }
    const drain = async () => {
      const { exitCode, stderr } = await call([NIX_UPLOAD, 'drain', '--to', `file://${cache}`])
      if (exitCode > 1) throw new Error(`drain ended with ${exitCode}: ${stderr}`)
    }
    const others = manner === 'quiet' ? undefined : syncAllTheTime(disks)
    const [first = '', second = '', ...rest] = made.small
    const [name = ''] = await hook(first)
    await Promise.all([hook(second), enqueue([made.large, made.app])])
    const draining = drain()
    for (const path of rest.splice(0, 4)) await hook(path)
    await draining
    await enqueue(rest)
    await drain()
    must(await call([NIX_UPLOAD, 'requeue', name]), 'requeue')
    requeued = { name, since: position() }
    await others?.()
  })
  return { recording, jobs, requeued }
}

/** Nix builds, and has the hook queue what it built. */
export async function runBuild({ disks, site, earlier }: Bed): Promise<Run> {
  const jobs = [...earlier]
  const recording = await disks.record(async (position) => {
    const what = { name: 'built', sizeBytes: 100_000 }
    const { outPaths } = await site.nix.build(what, { hook: HOOK, hookEnv: site.env })
    const since = position()
    const name = site.names('new').find((each) => each.endsWith('built.json')) ?? ''
    const bytes = readFileSync(site.path('new', name))
    jobs.push({ name, bytes, paths: outPaths, isRooted: true, since })
  })
  return { recording, jobs, requeued: { name: '', since: Infinity } }
}

/** @returns What ends it. */
function syncAllTheTime({ names, at }: Disks): () => Promise<void> {
  let isOver = false
  const all = names.map(async (name) => {
    const file = await open(join(at(name), 'of-somebody-else'), 'w')
    while (!isOver) {
      await file.write('x')
      await file.sync()
      await sleep(1)
    }
    await file.close()
  })
  return async () => {
    isOver = true
    await Promise.all(all)
  }
}
