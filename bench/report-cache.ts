// The part of the page of benchmarks that is about binary caches over a network.

import * as z from 'zod/mini'
import { results, table } from './page.ts'

const run = z.object({ seconds: z.number(), cpuSeconds: z.number(), peakMiB: z.number() })
const compared = z.object({ ours: run, bare: run, writtenMiB: z.number() })
const cache = z.object({
  tiny: z.array(z.object({ nix: z.string(), delayMs: z.number(), paths: z.number(), ours: run, bare: run })),
  oneNew: z.object({ closure: z.number(), seconds: z.number(), gets: z.number(), puts: z.number() }),
  twoDestinations: z.object({ mebibytes: z.number(), oneCpuSeconds: z.number(), twoCpuSeconds: z.number() }),
  onePath: z.object({ largeMiB: z.number(), http: compared, s3: compared }),
  manyFiles: compared,
  manyPaths: compared,
  realPaths: compared,
  closure: compared,
})

const roundTrip = z.object({
  nix: z.string(),
  paths: z.number(),
  roundTripMs: z.number(),
  bareSeconds: z.number(),
  ourSeconds: z.number(),
  peakMiB: z.number(),
})

const two = (value: number) => value.toFixed(2)

/** What `bench/cache.ts` found, beside the goals. */
export function cacheSection(): string[] {
  const figures = results('cache', cache)
  if (!figures) return []
  const { tiny, oneNew, twoDestinations, onePath, manyFiles, manyPaths, realPaths, closure } = figures
  const large = (what: string, { ours, bare, writtenMiB }: z.infer<typeof compared>) => [
    what,
    two(bare.seconds),
    two(ours.seconds),
    two(ours.seconds / bare.seconds),
    ours.peakMiB,
    writtenMiB,
  ]
  return [
    '## Binary caches over a network\n',
    `Tiny paths, one for each job, go to a cache over http on loopback. The time of the daemon, from the first claim to
the last file in \`done/\`, is compared with one bare \`nix copy\` of the same paths, on a filesystem in memory (\`bench/cache.ts\`). Without a wait: a running daemon,
to nginx, medians of nine rounds. With a wait: a daemon that has just started, as in all figures below, one round, to a server that waits before each answer.
The goals for 2.34.8: a ratio of at most 0.6 (CPU: 0.8) without a wait, and of 1/60 with 50 ms.\n`,
    table(
      ['Nix', 'paths', 'wait, ms', 'bare copy, s (CPU)', 'nix-upload, s (CPU)', 'ratio to bare', 'CPU ratio'],
      tiny.map((row) => [
        row.nix,
        row.paths,
        row.delayMs,
        `${two(row.bare.seconds)} (${two(row.bare.cpuSeconds)})`,
        `${two(row.ours.seconds)} (${two(row.ours.cpuSeconds)})`,
        two(row.ours.seconds / row.bare.seconds),
        two(row.ours.cpuSeconds / row.bare.cpuSeconds),
      ]),
    ),
    `One new path, with a closure of ${oneNew.closure} paths that the cache has but the daemon does not remember: ${two(oneNew.seconds)} s, ${oneNew.gets} GETs and ${oneNew.puts} PUTs.\n`,
    `Two destinations take ${two(twoDestinations.twoCpuSeconds)} s of CPU for ${twoDestinations.mebibytes} MiB of a real program, and one takes ${two(twoDestinations.oneCpuSeconds)}: the paths are packed for each destination.\n`,
    `Large paths, compared with one bare \`nix copy\` of 2.34.8 over http (medians of three rounds). The goals: a ratio of at most 1 (0.9 for 64
paths), less than 150 MiB of memory, and less than 4 MiB written to local disks.\n`,
    table(
      ['what', 'bare copy, s', 'nix-upload, s', 'ratio to bare', 'peak memory, MiB', 'written, MiB'],
      [
        large(`one path of ${onePath.largeMiB} MiB that does not compress, to nginx`, onePath.http),
        large('the same, to S3', onePath.s3),
        large('one path of 16,000 files, to nginx', manyFiles),
        large('64 paths of 20 MiB that do not compress, to nginx', manyPaths),
        large('300 paths of 2 MiB of a real program, to nginx', realPaths),
        large('one path with a closure of 20,000, to nginx', closure),
      ],
    ),
    ...roundTripSection(),
  ]
}

function roundTripSection(): string[] {
  const figures = results('round-trip', roundTrip)
  if (!figures) return []
  const { nix, paths, roundTripMs, bareSeconds, ourSeconds, peakMiB } = figures
  return [
    `With a real round trip of ${roundTripMs} ms, to an S3 server that checks signatures (\`bench/round-trip.ts\`, which \`npm run bench\` doesn't run),
${paths} tiny paths take ${two(ourSeconds)} s and ${peakMiB} MiB. One bare \`nix copy\` with ${nix}, whose requests aren't signed, takes ${two(bareSeconds)} s, ${two(bareSeconds / ourSeconds)}
times as long. The goal is 30 times.\n`,
  ]
}
