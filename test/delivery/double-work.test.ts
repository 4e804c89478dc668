// No path is uploaded twice: not for several jobs, not for what depends on it, not by copies side by side.

import { basename } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite, type Site } from '../integration/site.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { batchesIn, DEBUG } from './bed.ts'

async function siteAndCache(): Promise<{ site: Site; cache: MoodyCache; config: string[] }> {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  const config = await site.configured(`${DEBUG}[[destination]]\nto = "${cache.url}"\nconcurrency = 2\n`)
  return { site, cache, config }
}

const narinfoOf = (path: string) => new RegExp(`/${basename(path).slice(0, 32)}\\.narinfo$`)
const uploads = (cache: MoodyCache) => ({
  nars: cache.count('PUT', /^\/nar\//),
  narinfos: cache.count('PUT', /\.narinfo$/),
})

/** An app, and the library that it needs. */
async function appAndLibrary(site: Site): Promise<{ app: string; library: string }> {
  const library = { name: 'library' }
  const [libraryPath = ''] = (await site.nix.build(library)).outPaths
  const [app = ''] = (await site.nix.build({ name: 'app', deps: [library] })).outPaths
  return { app, library: libraryPath }
}

test('one path, queued five times and once more', async () => {
  const { site, cache, config } = await siteAndCache()
  const [path = ''] = await site.paths(1)
  await site.enqueue(Array(5).fill(path))
  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
  expect(uploads(cache)).toEqual({ nars: 1, narinfos: 1 })
  await site.enqueue([path])
  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
  expect(uploads(cache)).toEqual({ nars: 1, narinfos: 1 })
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 6, failed: 0 })
})

test('a path and what it needs, waiting together, go in one copy', async () => {
  const { site, cache, config } = await siteAndCache()
  const { app, library } = await appAndLibrary(site)
  await site.enqueue([app, library])
  const drained = await site.run(['drain', ...config])
  expect(batchesIn(drained.stderr)).toEqual([{ destination: 'default', jobs: 2, paths: 2, runs: 1 }])
  expect(uploads(cache)).toEqual({ nars: 2, narinfos: 2 })
})

test.each([
  { first: 'library' as const, second: 'app' as const },
  { first: 'app' as const, second: 'library' as const },
])(
  'while the $first is under way, the $second waits; what is not related does not',
  async ({ first, second }) => {
    const { site, cache, config } = await siteAndCache()
    const paths = await appAndLibrary(site)
    const [unrelated = ''] = await site.paths(1, 'unrelated')
    cache.behave({ delayMs: 5_000 }, { method: 'PUT', path: narinfoOf(paths.library) })
    await site.watch(config)

    await site.enqueue([paths[first]])
    await until(() => cache.count('PUT', narinfoOf(paths.library)) === 1, 'the library to be under way')
    await site.enqueue([paths[second], unrelated])
    await until(() => site.isCached(unrelated, cache.dir), 'what is not related')
    expect(
      cache.seen.filter(({ path, status }) => narinfoOf(paths.library).test(path) && status === 201),
    ).toEqual([])

    await site.settle('done', 3)
    expect(cache.count('PUT', narinfoOf(paths.library))).toBe(1)
    expect(uploads(cache)).toEqual({ nars: 3, narinfos: 3 })
  },
)
