// The jobs of a batch are settled a few at a time. What was delivered is done, whatever happens in between.

import { expect, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite, type Site } from '../integration/site.ts'
import { handOverAll } from './bed.ts'

const JOBS = 400

/** The jobs in `new/` whose path the cache has. */
async function sentInVain(site: Site): Promise<string[]> {
  const jobs = await Promise.all(site.names('new').map((name) => site.job('new', name)))
  return jobs.flatMap(({ outPaths }) => {
    const [path = ''] = Array.isArray(outPaths) ? outPaths.map(String) : []
    return site.isCached(path) ? [path] : []
  })
}

test.each([
  ['it is stopped', async (_site: Site, _config: string[], stop: () => Promise<unknown>) => stop()],
  ['it is paused', (site: Site, config: string[]) => site.run(['pause', ...config])],
])('%s in the midst of a batch', async (_title, interrupt) => {
  const site = await makeSite()
  await site.makeSpool()
  const paths = await site.paths(JOBS)
  const config = await site.configured(`[[destination]]\nto = "file://${site.cache}"\n`)
  const daemon = await site.watch(config)
  await handOverAll(
    site,
    paths.map((path) => [path]),
  )
  await until(() => site.counts().done > 0, 'the first of a batch to be settled')
  await interrupt(site, config, () => daemon.stop())
  await until(() => site.counts().cur === 0, 'what was claimed to be settled or given back')
  expect(await sentInVain(site)).toEqual([])
  const { done, failed, ...rest } = site.counts()
  expect({ all: done + rest.new, failed }).toEqual({ all: JOBS, failed: 0 })
})
