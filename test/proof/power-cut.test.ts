// Power cuts on real filesystems. Hook, `enqueue`, `drain` and `requeue` run on disks of which all writes and flushes are
// recorded (disks/recorder.ts). Then the disks are made again as they were at many instants of that run: with what was not
// flushed, without it, or with some of it. They are mounted, which replays the journal, and what is promised must be there.
// After some of the cuts garbage is collected and a daemon goes on.

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { must, runProgram } from '../support/run.ts'
import { KINDS, type Kind, whyNoDisks } from './disks/filesystems.ts'
import type { Order, Outcome } from './disks/main.ts'
import { evidence, IS_WHOLE } from './share.ts'

const MAIN = fileURLToPath(new URL('./disks/main.ts', import.meta.url))
const MINUTE = 60_000
const SHARE = { cuts: 6, recoveries: 1 }
const WHOLE = { cuts: 150, recoveries: 10 }

const MANY = KINDS.flatMap((kind) =>
  (['one disk', 'three disks'] as const).flatMap((layout) =>
    (['quiet', 'busy'] as const).map((manner) => ({ kind, layout, manner, ...WHOLE })),
  ),
)
/** The layouts that found something. */
const FEW = [
  { kind: 'ext4', layout: 'three disks', manner: 'quiet', ...SHARE },
  { kind: 'xfs', layout: 'one disk', manner: 'quiet', ...SHARE },
  { kind: 'btrfs', layout: 'one disk', manner: 'quiet', ...SHARE },
] as const

for (const order of IS_WHOLE ? MANY : FEW) {
  const { kind, layout, manner } = order
  testOn(kind, `no job is lost, nor what was said to be uploaded: ${layout}, ${manner}`, async () => {
    const { records, cuts, wrong } = await cutPower(order)
    evidence(`power cuts, ${kind}, ${layout}, ${manner}: ${records} writes and flushes, ${cuts} cuts`)
    expect(cuts).toBe(order.cuts)
    expect(wrong).toEqual([])
  })
}

for (const kind of IS_WHOLE ? KINDS : (['ext4'] as const)) {
  testOn(kind, 'without the syncs of hook and daemon, jobs and uploads are lost', async () => {
    const { cuts, wrong } = await cutPower({ kind, layout: 'one disk', manner: 'without syncs', ...SHARE })
    evidence(`power cuts, ${kind}, without syncs: ${cuts} cuts, ${wrong.length} of them lose something`)
    expect(wrong.length).toBeGreaterThan(cuts / 2)
  })
}

for (const kind of IS_WHOLE ? KINDS : []) {
  testOn(kind, 'a build of which Nix has lost the content is not uploaded, and its job says so', async () => {
    const { wrong } = await cutPower({ kind, layout: 'one disk', manner: 'a build', cuts: 1, recoveries: 1 })
    const said = wrong.flatMap(({ what }) => what)
    expect(said).toHaveLength(1)
    expect(said[0]).toMatch(/^later, \S+-built\.json is in failed, /)
    expect(said[0]).toMatch(/-built in the local store is not what was built, so it is not uploaded/)
  })
}

/** A test that is named as not run where there can be no such filesystem. */
function testOn(kind: Kind, name: string, act: () => Promise<void>): void {
  const why = whyNoDisks(kind)
  const title = `${kind}: ${name}${why === undefined ? '' : ` (not run: ${why})`}`
  const options = { timeout: (IS_WHOLE ? 30 : 5) * MINUTE, concurrent: !IS_WHOLE }
  test.skipIf(why !== undefined)(title, options, act)
}

async function cutPower(order: Order): Promise<Outcome> {
  const args = ['--mount', '--kill-child', process.execPath, MAIN, JSON.stringify(order)]
  const { PATH = '', TMPDIR = '/tmp', HOME = '/root' } = process.env
  const result = await runProgram('unshare', args, { env: { PATH, TMPDIR, HOME }, timeout: 30 * MINUTE })
  const outcome: Outcome = JSON.parse(must(result, 'cut the power').stdout)
  return outcome
}
