// GC roots follow a job's life, whoever queued it.

import { copyFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { until } from '../integration/daemon.ts'
import { makeSite, type Site } from '../integration/site.ts'
import { handOverAll } from './bed.ts'

const DOWN = '[[destination]]\nto = "http://127.0.0.1:1/"\nretry-min = "1h"\nretry-max = "1h"\n'
const REFUSING = '[[destination]]\ncommand = ["false"]\nmax-attempts = 1\n'

/** The paths that are rooted for a job. */
const rooted = (site: Site, job: string) =>
  site
    .roots()
    .filter((root) => root.startsWith(`${rootKey(job)}.`))
    .map((root) => readlinkSync(join(site.gcroots, root)))

/** Has a daemon claim what waits and keep it. */
async function claimAll(site: Site): Promise<() => Promise<number>> {
  const daemon = await site.watch(await site.configured(DOWN))
  await daemon.says('the destination is down')
  await until(() => site.names('new').length === 0, 'all to be claimed')
  return () => daemon.stop()
}

const WAYS: [by: string, queue: (site: Site, path: string) => Promise<unknown>, isRootedAtOnce: boolean][] = [
  ['the hook', (site, path) => site.hook([path]), true],
  ['`enqueue`', (site, path) => site.enqueue([path]), true],
  ['hand', (site, path) => handOverAll(site, [[path]]), false],
]

test.each(WAYS)('a job queued by %s', async (_by, queue, isRootedAtOnce) => {
  const site = await makeSite()
  await site.makeSpool()
  const [path = ''] = await site.paths(1)
  await queue(site, path)
  const [job = ''] = site.names('new')
  expect(rooted(site, job)).toEqual(isRootedAtOnce ? [path] : [])

  const stop = await claimAll(site)
  expect([site.names('cur'), rooted(site, job)]).toEqual([[job], [path]])
  await stop()
  expect([site.names('new'), rooted(site, job)]).toEqual([[job], [path]])

  expect(await site.run(['drain', ...(await site.configured(REFUSING))])).toMatchObject({ exitCode: 1 })
  expect([site.names('failed'), rooted(site, job)]).toEqual([[job], [path]])
  await site.run(['requeue', '--all'])
  expect([site.names('new'), rooted(site, job)]).toEqual([[job], [path]])

  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect([site.names('done'), site.roots()]).toEqual([[job], []])

  // Requeued, it is a job like any other.
  await site.run(['requeue', job])
  await (await claimAll(site))()
  expect(rooted(site, job)).toEqual([path])
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect(site.roots()).toEqual([])
})

// As the hook of Nix 2.8 queues it if nix-store takes too long: while garbage is being collected, for example.
test('a job that names no outputs protects those that were looked up, also if it is given up at once', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const { drvPath, outPaths } = await site.nix.build({ name: 'app' })
  await site.handOver('job.json', JSON.stringify({ drvPath }))
  expect(await site.run(['drain', ...(await site.configured(REFUSING))])).toMatchObject({ exitCode: 1 })
  expect(rooted(site, 'job.json').sort()).toEqual([...outPaths, drvPath].sort())

  await site.nix.gc()
  expect(await site.run(['requeue', 'job.json'])).toMatchObject({ exitCode: 0 })
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect(outPaths.map((path) => site.isCached(path))).toEqual([true])
  expect(site.roots()).toEqual([])
})

test('a job in failed/ keeps its roots if somebody copies it to new/ and the copy is delivered', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [path = ''] = await site.paths(1)
  await site.hook([path])
  const [job = ''] = site.names('new')
  await site.run(['drain', ...(await site.configured(REFUSING))])
  copyFileSync(site.path('failed', job), site.path('new', job))
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect([site.names('done'), site.names('failed'), rooted(site, job)]).toEqual([[job], [job], [path]])

  await site.nix.run('rm', [site.path('failed', job)])
  await site.run(['prune'])
  expect(site.roots()).toEqual([])
})
