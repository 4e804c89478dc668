// The part of the page of benchmarks that is about uploads by way of the stage.

import * as z from 'zod/mini'
import { results, table } from './page.ts'

const run = z.object({ seconds: z.number(), cpuSeconds: z.number(), peakMiB: z.number() })
const staged = z.object({
  tiny: z.array(
    z.object({ nix: z.string(), delayMs: z.number(), paths: z.number(), staged: run, bare: run }),
  ),
  oneNew: z.object({ closure: z.number(), seconds: z.number(), gets: z.number(), puts: z.number() }),
  twoDestinations: z.object({ oneCpuSeconds: z.number(), twoCpuSeconds: z.number() }),
  large: z.object({
    largeMiB: z.number(),
    startSeconds: z.number(),
    http: run,
    bare: run,
    s3: run,
    packSeconds: z.number(),
    sdkSeconds: z.number(),
  }),
})

const two = (value: number) => value.toFixed(2)

/** What `bench/staged.ts` found, beside the goals. */
export function stagedSection(): string[] {
  const figures = results('staged', staged)
  if (!figures) return []
  const { tiny, oneNew, twoDestinations, large } = figures
  return [
    '## Uploads to caches over a network\n',
    `A drain of tiny paths, a job each, to an empty cache over http on loopback, beside one bare \`nix copy\` of them: to nginx, and to a
server that waits before each answer (\`bench/staged.ts\`). A drain starts Node and settles its jobs;
the bare copy does neither. The goal is a ratio of at most 1, also where nothing waits. Here and
below, what goes to nginx are medians of three rounds.\n`,
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
    `Two destinations take ${two(twoDestinations.twoCpuSeconds)} s of CPU where one takes ${two(twoDestinations.oneCpuSeconds)}, ${two(twoDestinations.twoCpuSeconds / twoDestinations.oneCpuSeconds)} times as much; the goal is 1.1.\n`,
    `One path of ${large.largeMiB} MiB that doesn't compress, with \`check-contents = false\`. Of each drain ${two(large.startSeconds)} s are what one of a tiny
path takes too, which a daemon that is running has behind it. The goals: at least 0.9 times as fast, under 150 MiB of memory.\n`,
    table(
      ['to', 'alone, s', 'nix-upload, s', 'as fast', 'peak memory, MiB'],
      [
        [
          'nginx; alone: a bare `nix copy`',
          two(large.bare.seconds),
          two(large.http.seconds),
          two(large.bare.seconds / large.http.seconds),
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
  ]
}
