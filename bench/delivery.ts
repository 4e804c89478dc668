// How fast a backlog of small jobs is delivered to a file:// cache, against two baselines in the same run: one bare
// `nix copy` of the same paths (the floor), and one `nix copy` a job, four at a time (what other queues do). What counts is
// the time from the first claim to the last file in done/.
// usage: node bench/delivery.ts [JOBS] [ROUNDS]; progress on stderr, one JSON object on stdout.
import { join } from 'node:path'
import { nixVersions } from '../test/support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'
import { median, seconds } from './figures.ts'
import { RunningDaemon } from './running-daemon.ts'

const [jobs = 1000, rounds = 5] = process.argv.slice(2).map(Number)

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

async function measure(nix: PrivateNix, daemon: RunningDaemon, round: number) {
  const names = Array.from({ length: jobs }, (_, at) => `tiny-${round}-${at}`)
  const paths = await nix.addAllToStore(
    Object.fromEntries(names.map((name) => [name, `content of ${name}\n`])),
  )
  // Each way fills a cache of its own, and nothing is deleted in between: on some filesystems what comes after is slow.
  const cache = (name: string) => `file://${join(nix.dir, name)}?compression=zstd`
  const bare = await seconds(async () => must(await copy(nix, cache('bare'), paths), 'copy'))
  const { seconds: queued } = await daemon.deliver(paths)
  const single = await seconds(() => onePerJob(nix, cache('single'), paths))
  return { bare, queued, single }
}

const results = []
for (const version of await nixVersions()) {
  const nix = await makePrivateNix(version, { name: 'bench' })
  try {
    const to = `file://${join(nix.dir, 'queued')}?compression=zstd`
    const daemon = await RunningDaemon.start(nix, join(nix.dir, 'spool'), ['--to', to])
    const runs = []
    for (let round = 0; round < rounds; round++) runs.push(await measure(nix, daemon, round))
    await daemon.stop()
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
