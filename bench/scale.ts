// What a backlog costs: 1,000 jobs waiting, then ten times as many, up to a million.
//
//     node bench/scale.ts [--most N] [--seconds S] [DIRECTORY]
//
// For each size: how long the first upload takes after the daemon was started, its memory, how long `status` and the
// first line of `list` take, what the hook takes beside it all, and what draining costs a job. Draining goes on until
// all is done or for S seconds (60), whichever is first. The jobs name the paths of 1,000 files in a private store in
// turn, which the cache has already: what is measured is the queue, not a network. Figures go to stdout
// as JSON, progress to stderr. DIRECTORY should lie on a real disk; a temporary directory in it is used and removed.

import { spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  watch,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openSpool, type Spool } from '../src/spool/layout.ts'
import { nixVersions } from '../test/support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'
import { median, round } from './figures.ts'

const PROGRAM = join(import.meta.dirname, '../bin/nix-upload')
const HOOK = join(import.meta.dirname, '../bin/nix-upload-hook')
/** Linux counts the time of processes in hundredths of a second (USER_HZ). */
const TICK_MS = 10

const { values, positionals } = parseArgs({
  options: {
    most: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '60' },
  },
  allowPositionals: true,
})
const [most, seconds] = [Number(values.most), Number(values.seconds)]

interface Site {
  nix: PrivateNix
  paths: readonly string[]
  env: Record<string, string>
}

/** Puts jobs there as quickly as can be: nothing needs to survive a power cut. */
function fill(spool: Spool, jobs: number, paths: readonly string[]): void {
  for (let at = 0; at < jobs; at++) {
    const name = `20261122T031402Z-${at.toString(16).padStart(12, '0')}-tiny.json`
    const job = { version: 1, outPaths: [paths[at % paths.length]], queuedAt: '2026-11-22T03:14:02Z' }
    const file = openSync(join(spool.new, name), 'wx')
    writeSync(file, `${JSON.stringify(job)}\n`)
    closeSync(file)
    if ((at + 1) % 100_000 === 0) process.stderr.write(`  ${at + 1} jobs made\n`)
  }
  spawnSync('sync')
}

function timed(site: Site, command: string): number {
  const start = performance.now()
  const { status, stderr } = spawnSync('bash', ['-c', command, PROGRAM], { env: site.env, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`)
  return performance.now() - start
}

function timesOf(count: number, act: () => number): number {
  return round(median(Array.from({ length: count }, act)))
}

/** CPU time of a process and of those it has waited for, in milliseconds (proc(5), fields 14 to 17). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0) * TICK_MS
}

function peakMiB(pid: number): number {
  const [, kB = '0'] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kB) / 1024)
}

function watchSpool(site: Site) {
  const daemon = spawn(PROGRAM, ['watch', '--to', `file://${site.nix.dir}/cache`], {
    env: { ...site.env, NIX_UPLOAD_GCROOTS: '' },
    stdio: 'ignore',
  })
  const exited = new Promise((resolve) => daemon.once('exit', resolve))
  const stop = async () => {
    daemon.kill('SIGTERM')
    await exited
  }
  return { pid: daemon.pid ?? 0, stop }
}

/** What a daemon uses that has nothing to do yet. */
async function cpuOfStarting(site: Site, directory: string): Promise<number> {
  const spool = openSpool(directory)
  const { pid, stop } = watchSpool({ ...site, env: { ...site.env, NIX_UPLOAD_SPOOL: spool.root } })
  while (!existsSync(spool.reportFile)) await sleep(50)
  await sleep(500)
  const cpu = cpuMs(pid)
  await stop()
  return cpu
}

async function drain(site: Site, spool: Spool, jobs: number, startCpuMs: number) {
  const left = () => readdirSync(spool.new).length + readdirSync(spool.cur).length
  const start = performance.now()
  const { pid, stop } = watchSpool(site)
  const firstMs = await new Promise<number>((resolve) => {
    const watcher = watch(spool.done, () => {
      watcher.close()
      resolve(performance.now() - start)
    })
  })
  const hook = { ...site.env, OUT_PATHS: site.paths[0] ?? '', NIX_UPLOAD_STRICT: '1', NIX_UPLOAD_GCROOTS: '' }
  const hookMs = timesOf(20, () => timed({ ...site, env: hook }, HOOK))
  const end = start + seconds * 1000
  while (left() > 0 && performance.now() < end) await sleep(jobs > 50_000 ? 5_000 : 50)
  const done = jobs + 20 - left()
  const figures = {
    firstUploadMs: round(firstMs),
    besideHookMs: hookMs,
    jobsPerSecond: round((done / (performance.now() - start)) * 1000),
    cpuMsPerJob: round((cpuMs(pid) - startCpuMs) / done),
    peakMiB: peakMiB(pid),
  }
  await stop()
  return figures
}

async function measure(site: Site, jobs: number, base: string, startCpuMs: number) {
  const directory = join(base, `${jobs}`)
  mkdirSync(directory)
  const spool = openSpool(join(directory, 'spool'))
  fill(spool, jobs, site.paths)
  const local: Site = { ...site, env: { ...site.env, NIX_UPLOAD_SPOOL: spool.root } }
  const statusMs = timesOf(3, () => timed(local, '"$0" status >/dev/null'))
  const listHeadMs = timesOf(3, () => timed(local, '"$0" list | head -1 >/dev/null'))
  const result = { jobs, statusMs, listHeadMs, ...(await drain(local, spool, jobs, startCpuMs)) }
  process.stderr.write(`${JSON.stringify(result)}\n`)
  rmSync(directory, { recursive: true })
  return result
}

const version = (await nixVersions()).at(-1)
if (!version) throw new Error('there is no Nix to measure with')
const nix = await makePrivateNix(version, { name: 'bench', dir: positionals[0] ?? tmpdir() })
try {
  const files = Array.from({ length: 1000 }, (_, at): [string, string] => [`tiny-${at}`, `content ${at}\n`])
  const paths = await nix.addAllToStore(Object.fromEntries(files))
  must(
    await nix.run('nix', ['copy', '--to', `file://${nix.dir}/cache?compression=zstd`, ...paths]),
    'fill the cache',
  )
  const startCpuMs = await cpuOfStarting({ nix, paths, env: nix.env }, join(nix.dir, 'idle'))
  const results = []
  for (let jobs = 1000; jobs <= most; jobs *= 10) {
    results.push(await measure({ nix, paths, env: nix.env }, jobs, nix.dir, startCpuMs))
  }
  process.stdout.write(`${JSON.stringify({ nix: version.version, seconds, results }, null, 2)}\n`)
} finally {
  await nix.cleanup()
}
