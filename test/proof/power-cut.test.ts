// Power cuts on real filesystems. Hook, `enqueue`, `drain` and `requeue` run on disks of which all writes and flushes are
// recorded (disks/recorder.ts). Then each of many instants of that run is made again: the disks as they were then, with
// what was not flushed, without it, or with some of it. They are mounted, so that the journal is replayed, and what is promised must
// be there; and behind some of them garbage is collected and a daemon goes on.

import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { must, runProgram } from '../support/run.ts'
import { KINDS, type Kind, whyNoDisks } from './disks/disks.ts'
import type { Order, Outcome } from './disks/main.ts'
import { evidence, IS_WHOLE } from './share.ts'

const MAIN = fileURLToPath(new URL('./disks/main.ts', import.meta.url))
const LAYOUTS = ['one disk', 'three disks'] as const
const MINUTES = 60_000
const SHARE = { cuts: 9, recoveries: 1 }
const WHOLE = { cuts: 150, recoveries: 10 }

/** What each run has. Every time, those in which most can go wrong. */
const RUNS = KINDS.flatMap((kind) =>
  LAYOUTS.flatMap((layout) => (['quiet', 'busy'] as const).map((manner) => ({ kind, layout, manner }))),
).filter(
  ({ kind, layout, manner }) =>
    IS_WHOLE || (manner === 'quiet' && layout === (kind === 'ext4' ? 'three disks' : 'one disk')),
)

for (const { kind, layout, manner } of RUNS) {
  testOn(kind, `no job is lost, nor what was said to be uploaded: ${layout}, ${manner}`, async () => {
    const { records, cuts, wrong } = await cut({ kind, layout, manner, ...(IS_WHOLE ? WHOLE : SHARE) })
    evidence(
      `power cuts, ${kind}, ${layout}, ${manner}: ${records} writes and flushes, ${cuts} cuts, ${wrong.length} wrong`,
    )
    expect(cuts).toBeGreaterThan(8)
    expect(wrong).toEqual([])
  })
}

/** A test that is named as not run where there can be no such filesystem. */
function testOn(kind: Kind, name: string, act: () => Promise<void>): void {
  const why = whyNoDisks(kind)
  const title = `${kind}: ${name}${why === undefined ? '' : ` (not run: ${why})`}`
  test.skipIf(why !== undefined)(title, { timeout: (IS_WHOLE ? 30 : 2) * MINUTES }, act)
}

async function cut(order: Order): Promise<Outcome> {
  const args = ['--mount', '--kill-child', process.execPath, MAIN, JSON.stringify(order)]
  const { PATH = '', TMPDIR = '/tmp', HOME = '/root' } = process.env
  const options = { env: { PATH, TMPDIR, HOME }, timeout: 30 * MINUTES }
  const outcome: Outcome = JSON.parse(
    must(await runProgram('unshare', args, options), 'cut the power').stdout,
  )
  return outcome
}

for (const kind of IS_WHOLE ? KINDS : (['ext4'] as const)) {
  testOn(kind, 'without the syncs of hook and daemon, much is', async () => {
    const { cuts, wrong } = await cut({ kind, layout: 'one disk', manner: 'without syncs', ...SHARE })
    evidence(`power cuts, ${kind}, without syncs: ${cuts} cuts, ${wrong.length} wrong`)
    expect(wrong.length).toBeGreaterThan(cuts / 2)
  })
}
