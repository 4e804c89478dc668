// How fast a backlog of small jobs is delivered to a file:// cache, against two baselines in the same run: one bare
// `nix copy` of the same paths (the floor), and one `nix copy` a job, four at a time (what other queues do). What counts is
// the time from the first claim to the last file in done/.
// usage: node bench/delivery.ts [JOBS] [ROUNDS]; progress on stderr, one JSON object on stdout.
import { statSync, watch } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { GcRoots } from '../src/nix/gc-roots.ts'
import { handOver } from '../src/spool/hand-over.ts'
import { openSpool } from '../src/spool/layout.ts'
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

async function fresh(directory: string): Promise<string> {
  await rm(directory, { recursive: true, force: true })
  return `file://${directory}?compression=zstd`
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

async function measure(nix: PrivateNix, paths: string[]) {
  const directory = join(nix.dir, 'bench')
  await mkdir(directory, { recursive: true })
  const bare = await seconds(async () =>
    must(await copy(nix, await fresh(join(directory, 'bare')), paths), 'copy'),
  )
  const spoolDirectory = join(directory, 'spool')
  await rm(spoolDirectory, { recursive: true, force: true })
  const to = await fresh(join(directory, 'queued'))
  const spool = openSpool(spoolDirectory)
  handOver(
    spool,
    new GcRoots(''),
    paths.map((path) => ({ outPaths: [path] })),
  )
  const env = { NIX_UPLOAD_SPOOL: spoolDirectory, NIX_UPLOAD_GCROOTS: '' }
  const firstClaim = firstChange(spool.cur)
  must(await nix.run(program, ['drain', '--to', to], { env }), 'drain')
  const drain = (statSync(spool.done).mtimeMs - (await firstClaim)) / 1000
  const single = await seconds(async () => onePerJob(nix, await fresh(join(directory, 'single')), paths))
  return { bare, drain, single }
}

const results = []
for (const version of await nixVersions()) {
  const nix = await makePrivateNix(version, { name: 'bench' })
  try {
    const files = Object.fromEntries(
      Array.from({ length: jobs }, (_, at) => [`tiny-${at}`, `content ${at}\n`]),
    )
    const paths = await nix.addAllToStore(files)
    const runs = []
    for (let round = 0; round < rounds; round++) runs.push(await measure(nix, paths))
    const result = {
      nix: version.version,
      bareSeconds: median(runs.map(({ bare }) => bare)),
      drainSeconds: median(runs.map(({ drain }) => drain)),
      onePerJobSeconds: median(runs.map(({ single }) => single)),
      drainToBare: median(runs.map(({ drain, bare }) => drain / bare)),
      onePerJobToDrain: median(runs.map(({ single, drain }) => single / drain)),
    }
    process.stderr.write(`${JSON.stringify(result)}\n`)
    results.push(result)
  } finally {
    await nix.cleanup()
  }
}
process.stdout.write(`${JSON.stringify({ jobs, rounds, results }, null, 2)}\n`)
