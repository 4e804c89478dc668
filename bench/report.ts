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
    `The time that the hook adds to a build, and the time of \`dash -c :\`, the cheapest possible shell script: medians of
${figures.runs} runs. The time to start a process is subtracted from both (\`bench/hook.ts\`). A caller's own figures include it in
both, so the ratio there is smaller by one or two. The goal for that ratio is 8.\n`,
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
    `${figures.jobs} jobs of one tiny path each go to a \`file://\` cache. The time of a running daemon, from the first claim to the last file in \`done/\`, is compared with
one bare \`nix copy\` of the same paths, and with one \`nix copy\` for each job, four at a time. Medians of
${figures.rounds} rounds, on a filesystem in memory (\`bench/delivery.ts\`). The goals: at most 0.8 times the bare copy, and at least 12 times as fast as one copy for each job.\n`,
    table(
      ['Nix', 'bare copy, s', 'nix-upload, s', 'one copy a job, s', 'ratio to bare', 'faster than one a job'],
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
    `The jobs name 1,000 store paths in turn. The \`file://\` cache has them already, so the queue is measured, not the
upload. Nix ${figures.nix}; the drain runs for at most ${figures.seconds} s (\`bench/scale.ts\`). Memory is the daemon's peak; CPU is that of the
daemon and of the Nix that it starts.\n`,
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
    'The goal: the cost of a job varies by at most a fifth with the number of waiting jobs. Much of the cost is the time of the disk to\n' +
      'create and rename files. So here is the same on a filesystem in memory. With 1,000 jobs, the start of the daemon counts most:\n',
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
  `\`npm run bench\` writes this page, in half an hour${where ? `; last on ${where.date}, on ${where.machine}` : ''}. Machines differ, so
each figure has a baseline from the same run, and the ratios count. Not every goal is met yet.\n`,
  ...hookSection(),
  ...deliverySection(),
  ...cacheSection(),
  ...scaleSection(),
]
writeFileSync(join(ROOT, 'docs/BENCHMARKS.md'), page.join('\n'))
