// A run on recorded disks, and what power cuts leave of it: a program of its own, in a mount namespace of its own. So no
// other process holds these mounts, and they go with it.
//
//     unshare --mount node main.ts '{"kind":"ext4","layout":"one disk","manner":"quiet","cuts":100,"recoveries":3}'

import { type Layout, makeBed } from './bed.ts'
import { afterCut, type Cut, cutsOf } from './cuts.ts'
import type { Kind } from './filesystems.ts'
import { type Manner, run, runBuild } from './run.ts'
import { goesOn, wrongIn } from './whole.ts'

export interface Order {
  kind: Kind
  layout: Layout
  manner: Manner | 'a build'
  /** How many power cuts there are, spread over the run, and after how many of them a daemon goes on. */
  cuts: number
  recoveries: number
}

export interface Outcome {
  /** How many writes and flushes reached the disks. */
  records: number
  cuts: number
  wrong: { cut: Cut; what: string[] }[]
}

const order: Order = JSON.parse(process.argv[2] ?? '')
const bed = await makeBed(order.kind, order.layout)
try {
  const ran = order.manner === 'a build' ? await runBuild(bed) : await run(bed, order.manner)
  const { records } = ran.recording
  // A build is done once its job is queued: what becomes of it when the power goes then?
  const ofBuild: Cut = { count: records.length, loss: 'lost' }
  const cuts = order.manner === 'a build' ? [ofBuild] : cutsOf(ran.recording, order.cuts)
  const wrong: Outcome['wrong'] = []
  const every = Math.ceil(cuts.length / order.recoveries)
  for (const [at, cut] of cuts.entries()) {
    const end = records[cut.count - 1]?.end ?? 0
    const isRecovered = at % every === Math.floor(every / 2)
    const what = await afterCut(bed.disks, ran.recording, cut, async () => [
      ...wrongIn(bed, ran, end, 'crashed'),
      ...(isRecovered ? (await goesOn(bed, ran, end)).map((line) => `later, ${line}`) : []),
    ]).catch((error: unknown) => [String(error)])
    if (what.length > 0) wrong.push({ cut, what })
  }
  const outcome: Outcome = { records: records.length, cuts: cuts.length, wrong }
  process.stdout.write(`${JSON.stringify(outcome)}\n`)
} finally {
  await bed.disks.remove()
}
