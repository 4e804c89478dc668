// A garbage collector that runs all the while takes nothing that is queued, whoever queued it and by what name.

import { existsSync, renameSync, symlinkSync, unlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { until } from '../integration/daemon.ts'
import { HOOK, makeSite, type Site } from '../integration/site.ts'
import { nixVersions } from '../support/nix-versions.mjs'

const ROUNDS = 3
const EACH = 20

/** Collects garbage, of which there is always some more, until it is told to stop. */
function collecting(site: Site) {
  let isStopping = false
  let collections = 0
  const loop = async () => {
    while (!isStopping) {
      await site.paths(400, 'garbage')
      await site.nix.gc()
      collections++
    }
    return collections
  }
  const ended = loop()
  return {
    stop: () => {
      isStopping = true
      return ended
    },
  }
}

/** What jobs name, by job. */
class Queued {
  readonly paths = new Map<string, string[]>()
  readonly #site: Site

  constructor(site: Site) {
    this.#site = site
  }

  async add(names: readonly string[], state: 'new' | 'done' = 'new'): Promise<void> {
    for (const name of names) {
      const { outPaths } = await this.#site.job(state, name)
      this.paths.set(name, Array.isArray(outPaths) ? outPaths.map(String) : [])
    }
  }

  /** The paths of those jobs that have been collected. */
  gone(): string[] {
    return [...this.paths.values()].flat().filter((path) => !existsSync(path))
  }
}

const isRooted = (site: Site, name: string) =>
  site.roots().some((root) => root.startsWith(`${rootKey(name)}.`))

/** Drops all roots of a job, as the sweep does once they are old and no job is called that any more. */
function unroot(site: Site, name: string): void {
  for (const root of site.roots().filter((one) => one.startsWith(`${rootKey(name)}.`)))
    unlinkSync(join(site.gcroots, root))
}

/** Roots of somebody else's, such as a `./result`, until `letGo`. */
function keep(site: Site, paths: readonly string[]): () => void {
  const links = paths.map((path) => join(site.nix.gcrootsDir, `kept-${basename(path)}`))
  for (const [at, link] of links.entries()) symlinkSync(paths[at] ?? '', link)
  return () => {
    for (const link of links) unlinkSync(link)
  }
}

/** Does something while other roots go, sooner or later. */
async function whileRootsGo<T>(letGo: () => void, act: () => Promise<T>): Promise<T> {
  const acting = act()
  await sleep(Math.random() * 1000)
  letGo()
  return await acting
}

/** Jobs in done/, whose own roots are gone. */
async function doneJobs(site: Site, count: number): Promise<{ names: string[]; letGo: () => void }> {
  const paths = await site.paths(count, 'done')
  const letGo = keep(site, paths)
  await site.enqueue(paths)
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect(site.roots()).toEqual([])
  return { names: site.names('done'), letGo }
}

const versions = await nixVersions()
const [oldest, newest] = [versions.at(0), versions.at(-1)]

test.each([oldest, newest].flatMap((version) => version ?? []))(
  'while a collector runs, nothing is collected that is queued: $name',
  { timeout: 300_000 },
  async (version) => {
    const site = await makeSite(version)
    await site.makeSpool()
    const [requeuing, moving] = [await doneJobs(site, EACH), await doneJobs(site, EACH)]
    const moved = moving.names.filter((name) => !requeuing.names.includes(name))
    await site.run(['pause'])
    const daemon = await site.watch()
    const collector = collecting(site)
    const queued = new Queued(site)

    for (let round = 0; round < ROUNDS; round++) {
      // The hook, within a build.
      const before = new Set(site.names('new'))
      await site.nix.build({ name: `hooked-${round}`, unique: true }, { hook: HOOK, hookEnv: site.env })
      await queued.add(site.names('new').filter((name) => !before.has(name)))
      // By hand: what is collected before it is queued is refused.
      const paths = await site.paths(EACH, 'by-hand')
      const enqueued = await whileRootsGo(keep(site, paths), () =>
        site.run(['enqueue', '-'], { input: paths.join('\n') }),
      )
      await queued.add(enqueued.stdout.split('\n').filter(Boolean))
      expect(queued.gone()).toEqual([])
    }

    // From done/, where nothing protects them.
    const requeued = await whileRootsGo(requeuing.letGo, () => site.run(['requeue', ...requeuing.names]))
    await queued.add(requeued.stdout.split('\n').filter(Boolean))
    for (const name of moved) renameSync(site.path('done', name), site.path('new', name))
    await until(() => moved.every((name) => isRooted(site, name)), 'roots for what was moved by hand')
    moving.letGo()
    await queued.add(moved)

    // Renamed, it has roots by its new name, and needs those by its old one no longer.
    const [renamed = ''] = [...queued.paths.keys()]
    renameSync(site.path('new', renamed), site.path('new', 'important.json'))
    await until(() => isRooted(site, 'important.json'), 'roots by the new name')
    unroot(site, renamed)

    expect(queued.gone()).toEqual([])
    await sleep(3000)
    expect(queued.gone()).toEqual([])
    await site.run(['resume'])
    const names = [...queued.paths.keys()].map((name) => (name === renamed ? 'important.json' : name))
    await until(() => names.every((name) => existsSync(site.path('done', name))), 'all to be done', 120_000)
    const collections = await collector.stop()
    expect(await daemon.stop()).toBe(0)
    expect(site.roots()).toEqual([])
    // All of it took place beside collections.
    expect(collections).toBeGreaterThan(3)
    expect(queued.paths.size).toBeGreaterThan(moved.length + ROUNDS)
  },
)
