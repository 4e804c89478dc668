// `mv` is a supported interface: between any two directories of the spool, at any moment.

import { lstatSync, renameSync, watch, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { codeOf } from '../../src/util/user-error.ts'
import { until } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

const JOBS = 200
const MOVES = 1000
const STATES = ['new', 'cur', 'done', 'failed'] as const
type State = (typeof STATES)[number]
/** What came to done/ just now is left alone for so long: see the test below. */
const SETTLED_MS = 50

test('200 jobs that somebody moves about while the daemon works are neither lost nor doubled', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  const paths = await site.paths(JOBS)
  const names = (await site.enqueue(paths)).sort()
  const config = `rescan-interval = "200ms"\n[[destination]]\nto = "file://${site.cache}"\nbatch-size = 20\n`
  await site.watch(await site.configured(config))

  let moved = 0
  for (let count = 0; count < MOVES; count++) {
    if (move(site, pick(names), pick(STATES))) moved++
    await sleep(2)
  }
  expect(moved).toBeGreaterThan(MOVES / 10)
  await site.settle('new', 0)
  await site.settle('cur', 0)
  expect([...site.names('done'), ...site.names('failed')].sort()).toEqual(names)

  // Some were moved to done/ before they were delivered, and so say nothing of a delivery.
  await sleep(SETTLED_MS)
  for (const name of names) move(site, name, 'new')
  await until(() => paths.every((path) => site.isCached(path)), 'all paths at the destination')
  await site.settle('done', JOBS)
  expect(site.names('done')).toEqual(names)
  expect(site.counts()).toMatchObject({ new: 0, cur: 0, failed: 0 })
})

// docs/SPOOL.md, T4 and rule 2: the daemon renames cur/X to done/X and then its record over that. Whoever moves done/X in
// between, as no person does but a program that watches done/, has the job; the record may stay in done/ by itself.
test('a program that takes each job out of done/ as soon as it is there gets every one whole', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  const paths = await site.paths(JOBS)
  const names = (await site.enqueue(paths)).sort()
  const watcher = watch(site.path('done'), (_event, name) => {
    if (name !== null) move(site, name, 'failed', 0)
  })
  onTestFinished(() => watcher.close())
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  for (const name of names) move(site, name, 'failed', 0)
  expect(site.names('failed')).toEqual(names)
  const taken = await Promise.all(names.map((name) => site.job('failed', name)))
  expect(taken.map(({ outPaths }) => String(outPaths)).sort()).toEqual([...paths].sort())
  for (const name of site.names('done')) {
    expect(await site.delivery('done', name), name).toMatchObject({ state: 'done' })
  }
  expect(paths.every((path) => site.isCached(path))).toBe(true)
})

/** Moves a job from wherever it is. Returns false where there is nothing to move, or the daemon was quicker. */
function move(site: Site, name: string, to: State, settledMs = SETTLED_MS): boolean {
  const from = STATES.find((state) => ageOf(site.path(state, name)) !== undefined)
  if (from === undefined || from === to || ageOf(site.path(to, name)) !== undefined) return false
  if (from === 'done' && (ageOf(site.path(from, name)) ?? 0) < settledMs) return false
  try {
    renameSync(site.path(from, name), site.path(to, name))
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

/** How long ago a file was last renamed, in ms; undefined where there is none. */
function ageOf(path: string): number | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats && Date.now() - stats.ctimeMs
}

function pick<T>(from: readonly T[]): T {
  const picked = from[Math.floor(Math.random() * from.length)]
  if (picked === undefined) throw new Error('there is nothing to pick from')
  return picked
}

// Not only jobs of the hook can be there twice: people choose longer names, up to what a filesystem takes.
test.each(['x'.repeat(255), `${'x'.repeat(250)}.json`, `${'\u{1F4E6}'.repeat(62)}xx.json`])(
  'a second job by the longest name is settled, too',
  { timeout: 60_000 },
  async (name) => {
    const site = await makeSite()
    await site.makeSpool()
    const [one = '', two = ''] = await site.paths(2)
    for (const path of [one, two]) {
      writeFileSync(site.path('new', name), JSON.stringify({ outPaths: [path] }))
      expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
      expect(site.isCached(path)).toBe(true)
    }
    expect(site.names('done')).toHaveLength(2)
    expect(site.counts()).toMatchObject({ new: 0, cur: 0, failed: 0 })
  },
)
