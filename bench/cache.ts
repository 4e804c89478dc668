// Binary caches over http and S3, against one bare `nix copy` over http in the same run: many tiny paths, to nginx on loopback and
// to a server that waits before each answer; one new path over an old closure; two destinations; large paths.
// usage: node bench/cache.ts [LARGE-MIB] [PATHS] [WAIT-MS]; progress on stderr, one JSON object on stdout.
import { readFileSync } from 'node:fs'
import { type NixVersion, nixVersions } from '../test/support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../test/support/private-nix.ts'
import { largeClosure, manyFiles, manyPaths, onePath, realPaths } from './cache-large.ts'
import { bare, deliver, inTurn, startDaemon, withNginx, withSlow } from './cache-runs.ts'
import type { Run } from './running-daemon.ts'

const PIECE_BYTES = 4 << 20

const [largeMiB = 128, count = 1000, waitMs = 50] = process.argv.slice(2).map(Number)

function say<T>(what: string, value: T): T {
  process.stderr.write(`${what}: ${JSON.stringify(value)}\n`)
  return value
}

async function withNix<T>(version: NixVersion, act: (nix: PrivateNix) => Promise<T>): Promise<T> {
  const nix = await makePrivateNix(version, { name: 'bench' })
  try {
    return await act(nix)
  } finally {
    await nix.cleanup()
  }
}

function tinyPaths(nix: PrivateNix, some = count, name = 'tiny'): Promise<string[]> {
  const files = Array.from({ length: some }, (_, at) => [`${name}-${at}`, `content of ${name} ${at}\n`])
  return nix.addAllToStore(Object.fromEntries(files))
}

const compared = ({ version }: NixVersion, delayMs: number, paths: string[], ours: Run, alone: Run) =>
  say('tiny paths', { nix: version, delayMs, paths: paths.length, ours, bare: alone })

/** By one daemon, round after round; the medians. */
const withoutWaiting = (version: NixVersion) =>
  withNix(version, (nix) =>
    withNginx((queuedUrl) =>
      withNginx(async (bareUrl) => {
        const daemon = await startDaemon(nix, [queuedUrl])
        let paths: string[] = []
        const [ours, alone] = await inTurn(
          async (round) => {
            paths = await tinyPaths(nix, count, `tiny-${round}`)
            return await daemon.deliver(paths)
          },
          () => bare(nix, paths, bareUrl),
          9,
        )
        await daemon.stop()
        return compared(version, 0, paths, ours, alone)
      }),
    ),
  )

/** Once, because a bare copy of a thousand waits for minutes. */
const withWaiting = (version: NixVersion) =>
  withNix(version, async (nix) => {
    const paths = await tinyPaths(nix)
    const ours = await withSlow(waitMs, ({ url }) => deliver(nix, paths, [url]))
    const alone = await withSlow(waitMs, ({ url }) => bare(nix, paths, url))
    return compared(version, waitMs, paths, ours, alone)
  })

/** One new path over an old closure, of which nothing is remembered: the daemon is a new one. */
async function oneNew(nix: PrivateNix) {
  const old = await tinyPaths(nix, count - 1)
  const { outPaths } = await nix.build({ name: 'new', deps: old })
  return await withSlow(waitMs, async (cache) => {
    await deliver(nix, old, [cache.url])
    cache.seen.length = 0
    const run = await deliver(nix, outPaths, [cache.url])
    return say('one new path', { closure: count, ...run, gets: cache.count('GET'), puts: cache.count('PUT') })
  })
}

/** Some megabytes of a real program, a few at a time. */
async function twoDestinations(nix: PrivateNix) {
  const program = readFileSync(process.execPath)
  const files = Array.from({ length: program.length / PIECE_BYTES }, (_, at): [string, Buffer] => [
    `piece-${at}`,
    program.subarray(at * PIECE_BYTES, (at + 1) * PIECE_BYTES),
  ])
  const paths = await nix.addAllToStore(Object.fromEntries(files))
  const [one, two] = await inTurn(
    () => withNginx((url) => deliver(nix, paths, [url])),
    () => withNginx((a) => withNginx((b) => deliver(nix, paths, [a, b]))),
    5,
  )
  const [oneCpuSeconds, twoCpuSeconds] = [one.cpuSeconds, two.cpuSeconds]
  return say('two destinations', { mebibytes: program.length >> 20, oneCpuSeconds, twoCpuSeconds })
}

const versions = await nixVersions()
const [oldest, newest] = [versions[0], versions.at(-1)]
if (!oldest || !newest) throw new Error('there is no Nix')
const results = {
  tiny: [
    await withoutWaiting(oldest),
    await withoutWaiting(newest),
    await withWaiting(oldest),
    await withWaiting(newest),
  ],
  oneNew: await withNix(newest, oneNew),
  twoDestinations: await withNix(newest, twoDestinations),
  onePath: say('one large path', { largeMiB, ...(await withNix(newest, (nix) => onePath(nix, largeMiB))) }),
  manyFiles: say(
    'many files',
    await withNix(newest, (nix) => manyFiles(nix, 16_000, Math.min(600, largeMiB))),
  ),
  manyPaths: say(
    'many paths',
    await withNix(newest, (nix) => manyPaths(nix, 64, Math.min(20, largeMiB / 10))),
  ),
  realPaths: say('real paths', await withNix(newest, (nix) => realPaths(nix, 300, 2))),
  closure: say('closure', await withNix(newest, (nix) => largeClosure(nix, 20 * count))),
}
process.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
