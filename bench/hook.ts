// What the hook costs a build, in units of the least that any shell script can cost, `dash -c :`; with nothing
// waiting in new/ and, with --million, with a million jobs there.
//
//     node bench/hook.ts [--million] [--runs N] [DIRECTORY]
//
// DIRECTORY should lie on a real disk, because the hook waits for three fsyncs; a temporary directory in it is used and
// removed. Figures go to stdout as JSON, progress to stderr.
//
// Node takes longer to start a process than dash takes to run, so Node doesn't: another dash starts the hook and
// `dash -c :` in turn, several times in a row, and Node takes the time of the row. From it goes what the same row takes
// with only `dash -c :` in it, and from that what an empty one takes. The three kinds of row alternate, so that whatever
// else the machine does hits all of them; the figures are medians over the rows.

import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { median, round } from './figures.ts'

const HOOK = join(import.meta.dirname, '../bin/nix-upload-hook')
const ROW = 5
const RUN_HOOK = '"$0"'
const RUN_DASH = '/usr/bin/dash -c :'
const MILLION = 1_000_000

interface Figures {
  waiting: number
  hookMs: number
  dashMs: number
  ratio: number
}

const { values, positionals } = parseArgs({
  options: { million: { type: 'boolean', default: false }, runs: { type: 'string', default: '300' } },
  allowPositionals: true,
})
const rows = Math.ceil(Number(values.runs) / ROW)
if (!(rows > 0) || positionals.length > 1) {
  console.error('Usage: node bench/hook.ts [--million] [--runs N] [DIRECTORY]')
  process.exit(2)
}

const dir = mkdtempSync(join(positionals[0] ?? tmpdir(), 'nix-upload-bench-'))
process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
process.on('SIGINT', () => process.exit(130))
const spool = join(dir, 'spool')
const gcroots = join(dir, 'gcroots')
const built = join(dir, `${'1'.repeat(32)}-hello-2.12.1`)
for (const path of [spool, gcroots, join(spool, 'tmp'), join(spool, 'new'), built]) mkdirSync(path)

const environment = {
  PATH: '/usr/bin:/bin',
  NIX_UPLOAD_SPOOL: spool,
  NIX_UPLOAD_GCROOTS: gcroots,
  NIX_UPLOAD_STRICT: '1',
  DRV_PATH: `/nix/store/${'0'.repeat(32)}-hello-2.12.1.drv`,
  OUT_PATHS: built,
}

const empty = measure(0)
const results: Record<string, unknown> = { runs: rows * ROW, empty }
if (values.million) {
  fill(join(spool, 'new'))
  results.million = measure(MILLION)
}
console.log(JSON.stringify(results, null, 2))

function measure(waiting: number): Figures {
  const both: number[] = []
  const dashes: number[] = []
  const nothing: number[] = []
  timeOfRow(RUN_HOOK)
  for (let row = 1; row <= rows; row++) {
    both.push(timeOfRow(`${RUN_HOOK} && ${RUN_DASH}`))
    dashes.push(timeOfRow(`${RUN_DASH} && ${RUN_DASH}`))
    nothing.push(timeOfRow(':'))
    if (row % 20 === 0) console.error(`${waiting} waiting: ${row * ROW} of ${rows * ROW} runs`)
  }
  const dashMs = (median(dashes) - median(nothing)) / ROW / 2
  const hookMs = (median(both) - median(nothing)) / ROW - dashMs
  return { waiting, hookMs: round(hookMs), dashMs: round(dashMs), ratio: round(hookMs / dashMs) }
}

/** How many milliseconds a dash takes that does something `ROW` times. */
function timeOfRow(what: string): number {
  const script = `i=0; while [ $i -lt ${ROW} ]; do ${what} || exit; i=$((i + 1)); done`
  const begun = process.hrtime.bigint()
  const { status, stderr } = spawnSync('/usr/bin/dash', ['-c', script, HOOK], {
    env: environment,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const took = Number(process.hrtime.bigint() - begun) / 1e6
  if (status !== 0) throw new Error(`The hook failed: ${stderr}`)
  return took
}

/** Puts a million empty files there, named as jobs are. */
function fill(newDir: string): void {
  for (let i = 1; i <= MILLION; i++) {
    const unique = i.toString(16).padStart(12, '0')
    closeSync(openSync(join(newDir, `20261122T031402Z-${unique}-hello-2.12.1.json`), 'wx'))
    if (i % 100_000 === 0) console.error(`made ${i} files`)
  }
  // So that what is measured next doesn't wait for these files to be written out.
  spawnSync('sync')
}
