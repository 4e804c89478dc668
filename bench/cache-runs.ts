// What bench/cache.ts measures with: one delivery by a running daemon, or bare Nix, and the servers that take it.

import { spawn } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PrivateNix } from '../test/support/private-nix.ts'
import { type MoodyCache, startMoodyCache } from '../test/support/servers/moody-cache.ts'
import { startNginx } from '../test/support/servers/nginx.ts'
import { median, seconds } from './figures.ts'
import { type Run, RunningDaemon } from './running-daemon.ts'

const ROUNDS = 3

interface Configured {
  /** Lines for each destination. */
  more?: string
  env?: Record<string, string>
  /** Told how many bytes the daemon has had written to disks by its end. */
  onWritten?: (bytes: number) => void
}

/** Starts a daemon that delivers to caches. */
export async function startDaemon(
  nix: PrivateNix,
  urls: readonly string[],
  { more = '', env = {} }: Configured = {},
): Promise<RunningDaemon> {
  const spool = join(nix.dir, 'spool')
  await rm(spool, { recursive: true, force: true })
  const sections = urls.map((url, at) => `[[destination]]\nname = "cache-${at}"\nto = "${url}"\n${more}`)
  const config = join(nix.dir, 'config.toml')
  await writeFile(config, sections.join(''))
  return await RunningDaemon.start(nix, spool, ['--config', config], env)
}

/** Measures what a daemon takes, which has just been started, to deliver paths to caches that have nothing yet. */
export async function deliver(
  nix: PrivateNix,
  paths: readonly string[],
  urls: readonly string[],
  configured: Configured = {},
): Promise<Run> {
  const daemon = await startDaemon(nix, urls, configured)
  try {
    const run = await daemon.deliver(paths)
    configured.onWritten?.(daemon.writtenBytes())
    return run
  } finally {
    await daemon.stop()
  }
}

/** Measures one bare `nix copy` of paths. */
export async function bare(nix: PrivateNix, paths: readonly string[], url: string): Promise<Run> {
  const options = ['--extra-experimental-features', 'nix-command', '--option', 'substitute', 'false']
  return await run('nix', [...options, 'copy', '--to', `${url}?compression=zstd`, ...paths], nix.env)
}

/** Measures a program and what it starts. */
async function run(command: string, args: string[], env: Record<string, string>): Promise<Run> {
  const script = '"$@"; status=$?; times >&2; exit $status'
  const child = spawn('sh', ['-c', script, 'sh', command, ...args], { env })
  let said = ''
  child.stdout.resume()
  child.stderr.on('data', (chunk) => {
    said += chunk
  })
  const took = await seconds(() => new Promise((resolve) => child.on('close', resolve)))
  if (child.exitCode !== 0) throw new Error(said)
  const times = [...(said.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)]
  const cpuSeconds = times.reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0)
  return { seconds: took, cpuSeconds, peakMiB: 0 }
}

/** Medians of rounds in which two take turns. */
export async function inTurn(
  one: (round: number) => Promise<Run>,
  other: (round: number) => Promise<Run>,
  rounds = ROUNDS,
): Promise<[Run, Run]> {
  const runs: [Run[], Run[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    runs[0].push(await one(round))
    runs[1].push(await other(round))
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
