// Writes docs/BENCHMARKS.md and its plot from what the benchmarks left in bench/results/. `npm run bench` runs them all
// and then this.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { results, table } from './page.ts'
import { logPlot } from './plot.ts'
import { cacheSection } from './report-cache.ts'

const ROOT = join(import.meta.dirname, '..')
const PLOT = 'benchmarks-scale.svg'

const machine = z.object({ machine: z.string(), date: z.string() })
const hookFigures = z.object({
  waiting: z.number(),
  hookMs: z.number(),
  dashMs: z.number(),
  ratio: z.number(),
})
const hook = z.object({ runs: z.number(), empty: hookFigures, million: z.optional(hookFigures) })
const delivery = z.object({
  jobs: z.number(),
  rounds: z.number(),
  results: z.array(
    z.object({
      nix: z.string(),
      bareSeconds: z.number(),
      queuedSeconds: z.number(),
      onePerJobSeconds: z.number(),
      queuedToBare: z.number(),
      onePerJobToQueued: z.number(),
    }),
  ),
})
const scale = z.object({
  nix: z.string(),
  seconds: z.number(),
  results: z.array(
    z.object({
      jobs: z.number(),
      statusMs: z.number(),
      listHeadMs: z.number(),
      firstUploadMs: z.number(),
      besideHookMs: z.number(),
      jobsPerSecond: z.number(),
      cpuMsPerJob: z.number(),
      peakMiB: z.number(),
    }),
  ),
})

function hookSection(): string[] {
  const figures = results('hook', hook)
  if (!figures) return []
  const rows = [figures.empty, ...(figures.million ? [figures.million] : [])]
  return [
    '## The hook\n',
    `What the hook costs a build, against \`dash -c :\`, the least that a shell script can cost, in the same run: medians of
${figures.runs} runs, with what it takes to start a process taken off both (\`bench/hook.ts\`). Whoever starts a process and waits
for it sees that cost too, in both, and so a smaller ratio, by one or two. The goal is 8 as it is seen from there.\n`,
    table(
      ['jobs waiting', 'hook, ms', '`dash -c :`, ms', 'ratio'],
      rows.map(({ waiting, hookMs, dashMs, ratio }) => [waiting, hookMs, dashMs, ratio]),
    ),
  ]
}

function deliverySection(): string[] {
  const figures = results('delivery', delivery)
  if (!figures) return []
  return [
    '## A backlog of small jobs\n',
    `${figures.jobs} jobs of one tiny path each, to a \`file://\` cache, by a daemon that is running, from the first claim to the last file in \`done/\`; beside it
one bare \`nix copy\` of the same paths, which is the floor, and one \`nix copy\` a job, four at a time. Medians of
${figures.rounds} rounds, on a filesystem in memory (\`bench/delivery.ts\`). The goals: at most 0.8 times the bare copy, at least 12 times as fast as one a job.\n`,
    table(
      ['Nix', 'bare copy, s', 'nix-upload, s', 'one copy a job, s', 'to bare', 'faster than one a job'],
      figures.results.map((row) => [
        row.nix,
        row.bareSeconds.toFixed(2),
        row.queuedSeconds.toFixed(2),
        row.onePerJobSeconds.toFixed(1),
        row.queuedToBare.toFixed(2),
        `${row.onePerJobToQueued.toFixed(1)} ×`,
      ]),
    ),
  ]
}

function scaleSection(): string[] {
  const figures = results('scale', scale)
  if (!figures) return []
  const rows = figures.results
  const line = (label: string, colour: string, y: (row: (typeof rows)[number]) => number) => ({
    label,
    colour,
    points: rows.map((row) => ({ x: row.jobs, y: y(row) })),
  })
  const plot = logPlot('What a backlog costs', 'jobs waiting', 'ms, MiB, jobs/s', [
    line('CPU a job, ms', '#c0392b', (row) => row.cpuMsPerJob),
    line('first upload, ms', '#2980b9', (row) => row.firstUploadMs),
    line('peak memory, MiB', '#27ae60', (row) => row.peakMiB),
    line('status, ms', '#8e44ad', (row) => row.statusMs),
    line('jobs a second', '#e67e22', (row) => row.jobsPerSecond),
  ])
  writeFileSync(join(ROOT, 'docs', PLOT), plot)
  return [
    '## What a backlog costs\n',
    `Jobs that name the paths of 1,000 files in turn, which the \`file://\` cache has already, so that the queue is measured and
not a network; Nix ${figures.nix}; draining for at most ${figures.seconds} s (\`bench/scale.ts\`). Memory is the daemon's peak, CPU that of the
daemon and of the Nix it starts.\n`,
    `![Cost by jobs waiting](${PLOT})\n`,
    scaleTable(rows),
    ...scaleInMemory(),
  ]
}

/** What a job costs the queue, without what a directory of a million files costs a disk. */
function scaleInMemory(): string[] {
  const figures = results('scale-memory', scale)
  if (!figures) return []
  return [
    'The goal is that a job costs the same, to within a fifth, however many wait. Much of it is what the disk takes to make and\n' +
      'rename files, and so the same once more on a filesystem in memory. The first thousand bear the start of the daemon:\n',
    scaleTable(figures.results),
  ]
}

function scaleTable(rows: z.infer<typeof scale>['results']): string {
  return table(
    [
      'jobs waiting',
      'first upload, ms',
      'peak memory, MiB',
      'CPU a job, ms',
      'jobs/s',
      '`status`, ms',
      '`list \\| head -1`, ms',
      'the hook beside it, ms',
    ],
    rows.map((row) => [
      row.jobs.toLocaleString('en'),
      Math.round(row.firstUploadMs),
      row.peakMiB,
      row.cpuMsPerJob,
      Math.round(row.jobsPerSecond),
      Math.round(row.statusMs),
      Math.round(row.listHeadMs),
      Math.round(row.besideHookMs),
    ]),
  )
}

const where = results('machine', machine)
const page = [
  '# Benchmarks\n',
  `Made by \`npm run bench\`, which takes half an hour and writes this page anew${where ? `; last on ${where.date}, on ${where.machine}` : ''}. Each figure
stands beside a baseline of the same run, since machines differ: the ratios are what is promised.\n`,
  ...hookSection(),
  ...deliverySection(),
  ...cacheSection(),
  ...scaleSection(),
]
writeFileSync(join(ROOT, 'docs/BENCHMARKS.md'), page.join('\n'))
