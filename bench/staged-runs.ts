// What bench/staged.ts measures with: one upload by the program or by bare Nix, and the servers that take it.

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'
import { type MoodyCache, startMoodyCache } from '../test/support/servers/moody-cache.ts'
import { startNginx } from '../test/support/servers/nginx.ts'
import { median } from './figures.ts'

const ROUNDS = 3
const PROGRAM = new URL('../bin/nix-upload', import.meta.url).pathname

/** What something took. */
export interface Run {
  seconds: number
  /** Of the whole process tree. */
  cpuSeconds: number
  /** The most that the program itself had in memory. */
  peakMiB: number
}

/** Seconds that something took. */
export async function seconds(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await act()
  return (performance.now() - start) / 1000
}

/** Queues paths, and measures a drain of them to caches that have nothing yet. */
export async function drain(
  nix: PrivateNix,
  paths: readonly string[],
  urls: readonly string[],
  { more = '', env = {} }: { more?: string; env?: Record<string, string> } = {},
): Promise<Run> {
  const spool = join(nix.dir, 'spool')
  await rm(spool, { recursive: true, force: true })
  const whole = { ...nix.env, NIX_UPLOAD_SPOOL: spool, NIX_UPLOAD_GCROOTS: '', ...env }
  must(await nix.run(PROGRAM, ['enqueue', '-'], { env: whole, input: paths.join('\n') }), 'queue')
  const sections = urls.map((url, at) => `[[destination]]\nname = "cache-${at}"\nto = "${url}"\n${more}`)
  const config = join(nix.dir, 'config.toml')
  await writeFile(config, sections.join(''))
  return await run(PROGRAM, ['drain', '--config', config], whole)
}

/** Measures one bare `nix copy` of paths. */
export async function bare(nix: PrivateNix, paths: readonly string[], url: string): Promise<Run> {
  const options = ['--extra-experimental-features', 'nix-command', '--option', 'substitute', 'false']
  return await run('nix', [...options, 'copy', '--to', `${url}?compression=zstd`, ...paths], nix.env)
}

async function run(command: string, args: string[], env: Record<string, string>): Promise<Run> {
  const script = '"$@"; status=$?; times >&2; exit $status'
  const child = spawn('sh', ['-c', script, 'sh', command, ...args], { env })
  let said = ''
  child.stdout.resume()
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  let peakKiB = 0
  const watching = setInterval(() => {
    peakKiB = Math.max(peakKiB, peakOf(child.pid))
  }, 50)
  const took = await seconds(() => new Promise((resolve) => child.on('close', resolve)))
  clearInterval(watching)
  if (child.exitCode !== 0) throw new Error(said)
  const times = [...(said.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  const cpuSeconds = times.reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0)
  return { seconds: took, cpuSeconds, peakMiB: Math.round(peakKiB / 1024) }
}

/** KiB of the one process below a shell; not of those that it started. */
function peakOf(pid = 0): number {
  try {
    const [child = ''] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0 // It has ended.
  }
}

/** Medians of rounds in which two take turns. */
export async function inTurn(one: () => Promise<Run>, other: () => Promise<Run>): Promise<[Run, Run]> {
  const runs: [Run[], Run[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    runs[0].push(await one())
    runs[1].push(await other())
  }
  return [middle(runs[0]), middle(runs[1])]
}

function middle(runs: readonly Run[]): Run {
  const of = (key: keyof Run) => median(runs.map((run) => run[key]))
  return { seconds: of('seconds'), cpuSeconds: of('cpuSeconds'), peakMiB: of('peakMiB') }
}

/** Does something with an nginx that has nothing yet, in a process of its own. */
export async function withNginx<T>(act: (url: string, root: string) => Promise<T>): Promise<T> {
  const nginx = await startNginx()
  try {
    return await act(nginx.url, nginx.root)
  } finally {
    await nginx.stop()
  }
}

/** Does something with a server that waits before each answer, and counts requests. */
export async function withSlow<T>(delayMs: number, act: (cache: MoodyCache) => Promise<T>): Promise<T> {
  const cache = await startMoodyCache()
  cache.behave({ delayMs })
  try {
    return await act(cache)
  } finally {
    await cache.cleanup()
  }
}
