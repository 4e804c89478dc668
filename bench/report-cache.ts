// The part of the page of benchmarks that is about uploads by way of the stage.

import * as z from 'zod/mini'
import { results, table } from './page.ts'

const run = z.object({ seconds: z.number(), cpuSeconds: z.number(), peakMiB: z.number() })
const staged = z.object({
  tiny: z.array(
    z.object({ nix: z.string(), delayMs: z.number(), paths: z.number(), staged: run, bare: run }),
  ),
  oneNew: z.object({ closure: z.number(), seconds: z.number(), gets: z.number(), puts: z.number() }),
  twoDestinations: z.object({ mebibytes: z.number(), oneCpuSeconds: z.number(), twoCpuSeconds: z.number() }),
  large: z.object({
    largeMiB: z.number(),
    http: run,
    packedAndPutSeconds: z.number(),
    bareSeconds: z.number(),
    s3: run,
    packSeconds: z.number(),
    sdkSeconds: z.number(),
  }),
})

const roundTrip = z.object({
  nix: z.string(),
  paths: z.number(),
  roundTripMs: z.number(),
  bareSeconds: z.number(),
  stagedSeconds: z.number(),
  peakMiB: z.number(),
})

const two = (value: number) => value.toFixed(2)

/** What `bench/staged.ts` found, beside the goals. */
export function stagedSection(): string[] {
  const figures = results('staged', staged)
  if (!figures) return []
  const { tiny, oneNew, twoDestinations, large } = figures
  return [
    '## Uploads to caches over a network\n',
    `Tiny paths, a job each, to a cache over http on loopback, by a daemon that is running, from the first claim to
the last file in \`done/\`; beside it one bare \`nix copy\` of them. To nginx (medians of nine rounds), and once to a server that
waits before each answer, by a daemon that has just been started, as all below; on a filesystem in memory (\`bench/staged.ts\`). The goal is a ratio of
at most 1 where nothing waits, and with 50 ms of 1/25 of 2.8.0 and 1/15 of 2.34.8.\n`,
    table(
      ['Nix', 'paths', 'wait, ms', 'bare copy, s (CPU)', 'nix-upload, s (CPU)', 'to bare', 'of CPU'],
      tiny.map((row) => [
        row.nix,
        row.paths,
        row.delayMs,
        `${two(row.bare.seconds)} (${two(row.bare.cpuSeconds)})`,
        `${two(row.staged.seconds)} (${two(row.staged.cpuSeconds)})`,
        two(row.staged.seconds / row.bare.seconds),
        two(row.staged.cpuSeconds / row.bare.cpuSeconds),
      ]),
    ),
    `One new path over a closure of ${oneNew.closure} of which nothing is remembered: ${two(oneNew.seconds)} s, ${oneNew.gets} GETs and ${oneNew.puts} PUTs.\n`,
    `Two destinations take ${two(twoDestinations.twoCpuSeconds)} s of CPU for ${twoDestinations.mebibytes} MiB of a real program where one takes ${two(twoDestinations.oneCpuSeconds)}, ${two(twoDestinations.twoCpuSeconds / twoDestinations.oneCpuSeconds)} times as much; the goal is 1.1.\n`,
    `One path of ${large.largeMiB} MiB that doesn't compress, with \`check-contents = false\`, beside what it takes to pack it with \`nix copy\`
to a folder and to send that file alone. The goals: at least 0.9 times as fast, under 150 MiB of memory. (Nix's own upload
over http, which writes the archive to a disk once and not twice, takes ${two(large.bareSeconds)} s.)\n`,
    table(
      ['to', 'alone, s', 'nix-upload, s', 'as fast', 'peak memory, MiB'],
      [
        [
          'nginx; alone: `nix copy` to a folder, then one PUT by curl',
          two(large.packedAndPutSeconds),
          two(large.http.seconds),
          two(large.packedAndPutSeconds / large.http.seconds),
          large.http.peakMiB,
        ],
        [
          'an S3; alone: `nix copy` to a folder, then one PUT by the AWS SDK',
          two(large.packSeconds + large.sdkSeconds),
          two(large.s3.seconds),
          two((large.packSeconds + large.sdkSeconds) / large.s3.seconds),
          large.s3.peakMiB,
        ],
      ],
    ),
    ...roundTripSection(),
  ]
}

function roundTripSection(): string[] {
  const figures = results('round-trip', roundTrip)
  if (!figures) return []
  const { nix, paths, roundTripMs, bareSeconds, stagedSeconds, peakMiB } = figures
  return [
    `Over a real round trip of ${roundTripMs} ms, to an S3 that checks signatures (\`bench/round-trip.ts\`, which \`npm run bench\` doesn't run):
${paths} tiny paths take ${two(stagedSeconds)} s and ${peakMiB} MiB; one bare \`nix copy\` with ${nix}, without signing its requests, ${two(bareSeconds)} s, ${two(bareSeconds / stagedSeconds)}
times as long. The goal is 15.\n`,
  ]
}
