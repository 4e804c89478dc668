// Everything at once, for long: builds with real Nix and the real hook, queueing by hand, outages of a server, kills and
// restarts of the daemon, people who move jobs about, pauses, garbage collection, on one spool. The invariants are
// checked each time the daemon is not there; in the end every job is where it belongs. Then a second part without kills
// shows that the daemon holds in the end what it held at the beginning: handles, memory, watches, roots, files.
//
// 15 seconds with a fixed seed; 30 minutes with PROOF=1, or SOAK_MINUTES=…; SEED=… for one that was printed.

import { expect, onTestFinished, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { stateOf } from './process-state.ts'
import { evidence, IS_WHOLE } from './share.ts'
import { Machine } from './soak-machine.ts'

const MINUTES = Number(process.env.SOAK_MINUTES ?? (IS_WHOLE ? 30 : 1 / 4))
const SEED = Number(process.env.SEED ?? (IS_WHOLE ? Date.now() % 1e9 : 4))
/** The part of the time in which there are kills. */
const STORM = 2 / 3

interface Deed {
  name: string
  weight: number
  /** Also in the second part. */
  isGentle: boolean
  act: (machine: Machine) => unknown
}

const DEEDS: Deed[] = [
  { name: 'build', weight: 8, isGentle: true, act: (machine) => machine.build() },
  { name: 'enqueue', weight: 3, isGentle: true, act: (machine) => machine.enqueue() },
  { name: 'hand over what fails', weight: 1, isGentle: true, act: (machine) => machine.putWhatFails() },
  { name: 'outage', weight: 3, isGentle: true, act: (machine) => machine.outage() },
  { name: 'recovery', weight: 4, isGentle: true, act: (machine) => machine.recovery() },
  { name: 'mv done new', weight: 1, isGentle: true, act: (machine) => machine.move('done', 'new') },
  { name: 'mv failed new', weight: 1, isGentle: true, act: (machine) => machine.move('failed', 'new') },
  { name: 'mv new failed', weight: 1, isGentle: true, act: (machine) => machine.move('new', 'failed') },
  { name: 'mv cur new', weight: 1, isGentle: true, act: (machine) => machine.move('cur', 'new') },
  { name: 'mv cur failed', weight: 1, isGentle: true, act: (machine) => machine.move('cur', 'failed') },
  { name: 'mv new cur', weight: 1, isGentle: true, act: (machine) => machine.move('new', 'cur') },
  { name: 'requeue', weight: 2, isGentle: true, act: (machine) => machine.requeue() },
  { name: 'pause', weight: 1, isGentle: true, act: (machine) => machine.command('pause') },
  { name: 'pause one', weight: 1, isGentle: true, act: (machine) => machine.command('pause', 'server') },
  { name: 'resume one', weight: 2, isGentle: true, act: (machine) => machine.command('resume', 'server') },
  { name: 'resume', weight: 3, isGentle: true, act: (machine) => machine.command('resume') },
  { name: 'collect garbage', weight: 1, isGentle: true, act: (machine) => machine.collectGarbage() },
  {
    name: 'kill',
    weight: 3,
    isGentle: false,
    act: async (machine) => {
      await machine.kill()
      expect(machine.violations('crashed')).toEqual([])
      await machine.startDaemon()
    },
  },
  {
    name: 'restart',
    weight: 1,
    isGentle: false,
    act: async (machine) => {
      expect(await machine.daemon?.stop()).toBe(0)
      expect(machine.violations('crashed')).toEqual([])
      await machine.startDaemon()
    },
  },
]

test('builds, outages, kills, people and garbage collection together', {
  timeout: (MINUTES + 10) * 60_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const server = await startMoodyCache()
  onTestFinished(() => server.cleanup())
  const common = 'retry-min = "100ms"\nretry-max = "1s"\nmax-attempts = 1000\n'
  const config = await site.configured(
    `rescan-interval = "2s"\nstop-grace = "2s"\n[[destination]]\nname = "server"\nto = "${server.url}"\n${common}` +
      `[[destination]]\nname = "folder"\nto = "file://${site.cache}"\n${common}`,
  )
  const random = randomFrom(SEED)
  const machine = new Machine(site, server, [...config], random)
  const done = new Map<string, number>()
  const goOn = async (minutes: number, deeds: readonly Deed[]) => {
    const bag = deeds.flatMap((deed) => Array<Deed>(deed.weight).fill(deed))
    for (const end = performance.now() + minutes * 60_000; performance.now() < end; ) {
      const deed = bag[machine.pick(bag.length)]
      await deed?.act(machine)
      if (deed) done.set(deed.name, (done.get(deed.name) ?? 0) + 1)
    }
  }
  evidence(`soak: ${MINUTES.toFixed(1)} minutes, SEED=${SEED}, ${site.nix.version.version}`)

  await machine.startDaemon()
  await goOn(MINUTES * STORM, DEEDS)
  await machine.command('resume', 'server')
  await machine.calmDown()
  expect(machine.violations('recovered')).toEqual([])
  const before = stateOf(machine.daemon?.pid ?? -1)

  await goOn(
    MINUTES * (1 - STORM),
    DEEDS.filter(({ isGentle }) => isGentle),
  )
  await machine.command('resume', 'server')
  await machine.calmDown()
  expect(machine.violations('recovered')).toEqual([])
  expect(machine.undelivered()).toEqual([])
  // Connections are kept for a while, and a Nix that answers questions.
  const pid = machine.daemon?.pid ?? -1
  const now = () => stateOf(pid)
  await until(
    () => now().handles <= before.handles + 2 && now().children === 0,
    () => `${now().handles} handles to be as few as ${before.handles}, and ${now().children} children none`,
    60_000,
  )
  const after = stateOf(pid)
  const left = await machine.sweep()

  const deeds = [...done].map(([name, count]) => `${name} ${count}`).join(', ')
  evidence(
    `soak: ${machine.handed.length} jobs, ${[...done.values()].reduce((a, b) => a + b, 0)} deeds: ${deeds}`,
  )
  evidence(`soak: the daemon before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`)
  evidence(`soak: jobs that a person's mv left twice: ${machine.twice.size}`)
  evidence(
    `soak: left behind ${JSON.stringify(left)}, in the folder by kills ${machine.leftByKills().length}`,
  )
  expect(left).toEqual({ tmp: [], temporary: [], roots: [] })
  expect(after).toMatchObject({ watches: before.watches, children: 0 })
  expect(after.threads).toBeLessThanOrEqual(before.threads + 2)
  expect(after.rss).toBeLessThanOrEqual(before.rss + 64)
  expect(await machine.daemon?.stop()).toBe(0)
})

/** A small generator (mulberry32): the same numbers from the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
