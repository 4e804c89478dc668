// How fast a backlog of small jobs is delivered to a file:// cache, against two baselines in the same run: one bare
// `nix copy` of the same paths (the floor), and one `nix copy` a job, four at a time (what other queues do). What counts is
// the time from the first claim to the last file in done/.
// usage: node bench/delivery.ts [JOBS] [ROUNDS]; progress on stderr, one JSON object on stdout.
import { readdirSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { GcRoots } from '../src/nix/gc-roots.ts'
import { handOver } from '../src/spool/hand-over.ts'
import { openSpool } from '../src/spool/layout.ts'
import { pause, resume } from '../src/spool/pause.ts'
import { Daemon } from '../test/integration/daemon.ts'
import { nixVersions } from '../test/support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'
import { median } from './figures.ts'

const [jobs = 1000, rounds = 5] = process.argv.slice(2).map(Number)
const program = new URL('../bin/nix-upload', import.meta.url).pathname

/** Runs something and returns how many seconds it took. */
async function seconds(act: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await act()
  return (performance.now() - start) / 1000
}

/** When something is first put into a directory or taken out of it, in milliseconds of the epoch. */
function firstChange(directory: string): Promise<number> {
  return new Promise((resolve) => {
    const watcher = watch(directory, () => {
      watcher.close()
      resolve(Date.now())
    })
  })
}

function copy(nix: PrivateNix, to: string, paths: string[]) {
  return nix.run('nix', ['copy', '--option', 'substitute', 'false', '--to', to, ...paths])
}

async function onePerJob(nix: PrivateNix, to: string, paths: readonly string[]): Promise<void> {
  const waiting = [...paths]
  const worker = async () => {
    for (let path = waiting.pop(); path; path = waiting.pop()) must(await copy(nix, to, [path]), 'copy')
  }
  await Promise.all([worker(), worker(), worker(), worker()])
}

/** A daemon that is running, as it is on a builder, and is paused while jobs are queued. */
async function startDaemon(nix: PrivateNix) {
  const spool = openSpool(join(nix.dir, 'spool'))
  // As systemd/nix-upload.service has it.
  const asService = { NODE_OPTIONS: '--max-semi-space-size=4' }
  const env = { ...nix.env, ...asService, NIX_UPLOAD_SPOOL: spool.root, NIX_UPLOAD_GCROOTS: '' }
  const to = `file://${join(nix.dir, 'queued')}?compression=zstd`
  const daemon = new Daemon(program, ['watch', '--to', to], env)
  await daemon.says('watching')
  const deliver = async (paths: readonly string[]) => {
    pause(spool)
    handOver(
      spool,
      new GcRoots(''),
      paths.map((path) => ({ outPaths: [path] })),
    )
    const firstClaim = firstChange(spool.cur)
    resume(spool)
    // Seldom, since looking takes time, too; when it was through is written on the directory.
    const startedAt = await firstClaim
    while ([spool.new, spool.cur].some((directory) => readdirSync(directory).length > 0)) await sleep(100)
    return (statSync(spool.done).mtimeMs - startedAt) / 1000
  }
  return { deliver, stop: () => daemon.stop() }
}

type Deliver = Awaited<ReturnType<typeof startDaemon>>['deliver']

async function measure(nix: PrivateNix, deliver: Deliver, round: number) {
  const names = Array.from({ length: jobs }, (_, at) => `tiny-${round}-${at}`)
  const paths = await nix.addAllToStore(
    Object.fromEntries(names.map((name) => [name, `content of ${name}\n`])),
  )
  // Each way fills a cache of its own, and nothing is deleted in between: on some filesystems what comes after is slow.
  const cache = (name: string) => `file://${join(nix.dir, name)}?compression=zstd`
  const bare = await seconds(async () => must(await copy(nix, cache('bare'), paths), 'copy'))
  const queued = await deliver(paths)
  const single = await seconds(() => onePerJob(nix, cache('single'), paths))
  return { bare, queued, single }
}

const results = []
for (const version of await nixVersions()) {
  const nix = await makePrivateNix(version, { name: 'bench' })
  try {
    const { deliver, stop } = await startDaemon(nix)
    const runs = []
    for (let round = 0; round < rounds; round++) runs.push(await measure(nix, deliver, round))
    await stop()
    const result = {
      nix: version.version,
      bareSeconds: median(runs.map(({ bare }) => bare)),
      queuedSeconds: median(runs.map(({ queued }) => queued)),
      onePerJobSeconds: median(runs.map(({ single }) => single)),
      queuedToBare: median(runs.map(({ queued, bare }) => queued / bare)),
      onePerJobToQueued: median(runs.map(({ single, queued }) => single / queued)),
    }
    process.stderr.write(`${JSON.stringify(result)}\n`)
    results.push(result)
  } finally {
    await nix.cleanup()
  }
}
process.stdout.write(`${JSON.stringify({ jobs, rounds, results }, null, 2)}\n`)
