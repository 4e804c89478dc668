// How the culprits in a batch are found, with an uploader that the test plays; with real Nix: test/delivery/isolation.test.ts.

import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import { DESTINATION_DEFAULTS } from '../../src/config/config.ts'
import { Isolation } from '../../src/delivery/isolation.ts'
import type { Uploader } from '../../src/delivery/uploader.ts'
import { StoreSession } from '../../src/nix/store-session.ts'
import { type Blame, type FailureKind, UploadFailure } from '../../src/util/verdict.ts'
import { jobOf } from './fake-worker.ts'

interface Play {
  /** What is said of a copy that has a bad path in it. */
  blame: Blame
  kind?: FailureKind
  /** The message names this path. */
  names?: string
  /** The uploader says of each path how it fared. */
  isPerPath?: boolean
  /** The destination answers a probe. */
  isUp?: boolean
}

/** Delivers jobs `000`, `001`, … of which some are bad. */
async function isolate(count: number, bad: readonly number[], play: Play) {
  const { blame, kind, names, isPerPath = false, isUp = true } = play
  const copies: string[][] = []
  const failure = (path: string) => {
    const message = names === undefined ? 'it failed' : `it failed at ${names}`
    return new UploadFailure({ blame, permanent: false, message, path }, kind)
  }
  const isBad = (path: string) => bad.includes(Number(path))
  const uploader: Uploader = {
    send: async (paths) => {
      copies.push([...paths])
      const failed = paths.filter(isBad)
      if (isPerPath) return new Map(failed.map((path) => [path, failure(path)]))
      if (failed[0] !== undefined) throw failure(names ?? '')
      return new Map()
    },
    probe: async () => {
      if (!isUp) throw failure('')
    },
  }
  const destination = { name: 'default', to: 'file:///x', via: 'nix' as const, ...DESTINATION_DEFAULTS }
  const log = pino({ level: 'silent' })
  const hints = { wasThere: () => true, onOutputs: () => undefined }
  const target = { destination, uploader, store: new StoreSession(), log, ...hints }
  const progress = { sentBytes: 0, expectedBytes: 0 }
  const isolation = new Isolation(target, new AbortController().signal, progress)
  const items = Array.from({ length: count }, (_, at) => at.toString().padStart(3, '0')).map((name) => ({
    claimed: jobOf(name),
    drvPaths: [],
    floating: [],
    paths: [name],
  }))
  const thrown: unknown = await isolation.deliver(items).then(
    () => undefined,
    (error: unknown) => error,
  )
  const outcomes = [...isolation.outcomes]
  const of = (kind: string) =>
    outcomes.flatMap(([{ name }, outcome]) => (outcome.kind === kind ? [name] : []))
  const blames = outcomes.flatMap(([, outcome]) => ('verdict' in outcome ? [outcome.verdict.blame] : []))
  return {
    blames,
    copies,
    thrown,
    runs: isolation.runs,
    delivered: of('delivered'),
    failed: of('failed'),
    held: of('held'),
  }
}

const byHalves = (count: number, bad: number) => 3 + 2 * bad * Math.ceil(Math.log2(count))

test('where nothing is bad, there is one copy', async () => {
  const { runs, delivered } = await isolate(100, [], { blame: 'job' })
  expect([runs, delivered.length]).toEqual([1, 100])
})

describe('one copy tells of all that it failed, and not whose fault it is', () => {
  test.each([[[0]], [[99]], [[50]], [[3, 97]], [[10, 11, 12, 13, 14]]])('%j of 100 are bad', async (bad) => {
    for (const blame of ['job', 'unknown'] as const) {
      const { runs, delivered, failed, thrown } = await isolate(100, bad, { blame })
      expect([thrown, failed.map(Number).sort((a, b) => a - b)]).toEqual([undefined, bad])
      expect(delivered).toHaveLength(100 - bad.length)
      expect(runs).toBeLessThanOrEqual(byHalves(100, bad.length))
    }
  })

  test('all of them are bad in a way that may be the destination’s: it is, after three copies', async () => {
    const all = Array.from({ length: 100 }, (_, at) => at)
    const { runs, thrown } = await isolate(100, all, { blame: 'unknown' })
    expect([runs, thrown]).toEqual([
      3,
      expect.objectContaining({ verdict: expect.objectContaining({ blame: 'destination' }) }),
    ])
  })

  test('what is the destination’s for certain is no job’s, after one', async () => {
    const { runs, thrown, failed } = await isolate(100, [5], { blame: 'destination' })
    expect([runs, failed, thrown]).toEqual([1, [], expect.any(UploadFailure)])
  })
})

test('a path that is named is sent apart: three copies, however many there are', async () => {
  const { copies, failed } = await isolate(100, [42], { blame: 'job', names: '042' })
  expect([copies.map((paths) => paths.length), failed]).toEqual([[100, 99, 1], ['042']])
})

test('a name that is not the culprit’s misleads once', async () => {
  const { failed, runs } = await isolate(100, [7], { blame: 'job', names: '042' })
  expect(failed).toEqual(['007'])
  expect(runs).toBeLessThanOrEqual(byHalves(100, 1) + 2)
})

describe('an uploader that says of each path how it fared', () => {
  test('needs one copy', async () => {
    const { runs, failed, delivered } = await isolate(100, [1, 2, 3], { blame: 'job', isPerPath: true })
    expect([runs, failed, delivered.length]).toEqual([1, ['001', '002', '003'], 97])
  })

  test('a server’s own trouble with one of them costs no attempt: it waits by itself', async () => {
    const play = {
      blame: 'destination',
      isPerPath: true,
      kind: { isOfOneFile: true, isTrouble: true },
    } as const
    const { held, failed, delivered } = await isolate(10, [4], play)
    expect([held, failed, delivered.length]).toEqual([['004'], [], 9])
  })
})

describe('a job alone', () => {
  const kind = { isOfOneFile: true }

  test('is to blame where the destination answers otherwise', async () => {
    expect(await isolate(1, [0], { blame: 'unknown', kind })).toMatchObject({
      failed: ['000'],
      thrown: undefined,
    })
  })

  test('is not, where it doesn’t', async () => {
    const { failed, blames } = await isolate(1, [0], { blame: 'unknown', kind, isUp: false })
    expect([failed, blames]).toEqual([['000'], ['destination']])
  })
})
