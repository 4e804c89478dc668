// Several destinations: each has its own state, and none waits for another.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite, type Site } from '../integration/site.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { deliveries, handOverAll } from './bed.ts'

const JOBS = 100
/** Far more than it takes, on a machine that has better things to do. */
const LONG = 60_000

/** Far fewer fit into a batch than there are jobs, so most of them wait in new/ while one destination is down. */
const destination = (name: string, to: string, more = 'batch-size = 5') =>
  `[[destination]]\nname = "${name}"\nto = "${to}"\nretry-min = "100ms"\nretry-max = "200ms"\n${more}\n`

async function server(): Promise<MoodyCache> {
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  return cache
}

async function queue(site: Site, count: number): Promise<string[]> {
  const paths = await site.paths(count)
  await handOverAll(
    site,
    paths.map((path) => [path]),
  )
  return paths
}

const missing = (site: Site, paths: string[], cache: MoodyCache) =>
  paths.filter((path) => !site.isCached(path, cache.dir))

test('one is up and one is down, over restarts, until both have everything, once', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [up, down] = [await server(), await server()]
  await down.stop()
  const config = await site.configured(destination('up', up.url) + destination('down', down.url))
  const paths = await queue(site, JOBS)

  let daemon = await site.watch(config)
  const through = () => daemon.log.filter((line) => line.includes('"delivered"')).length
  await until(() => through() === JOBS, 'all jobs at the one that is up', LONG)
  await until(() => site.names('cur').length <= 10, 'the jobs that are through there to be back in new/')
  expect(site.counts()).toMatchObject({ done: 0, failed: 0 })
  daemon.kill('SIGKILL')
  await daemon.exited
  // A job that is being tried at the one that is down has its other record in memory; the next start asks the cache.
  const records = await deliveries(site, 'new', 'up')
  expect(records.map(({ state }) => state)).toEqual(Array(site.names('new').length).fill('done'))
  expect(records.length).toBeGreaterThanOrEqual(JOBS - 10)
  const waiting = await deliveries(site, 'new', 'down')
  expect(waiting.filter(({ state, attempts }) => state !== 'waiting' || attempts !== 0)).toEqual([])

  const uploads = up.count('PUT', /\.narinfo$/)
  expect(uploads).toBe(JOBS)
  daemon = await site.watch(config)
  await daemon.says('the destination is down')
  await down.start()
  await site.settle('done', JOBS, LONG)
  expect(missing(site, paths, down)).toEqual([])
  for (const name of ['up', 'down']) {
    const states = (await deliveries(site, 'done', name)).map(({ state }) => state)
    expect(states).toEqual(Array(JOBS).fill('done'))
  }
  expect([up.count('PUT', /\.narinfo$/), down.count('PUT', /\.narinfo$/)]).toEqual([uploads, JOBS])
  // They go a moment later, once all is durable.
  await expect.poll(() => site.roots()).toEqual([])
})

test('one that accepts and never answers keeps no more than its share of the places', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const silent = await server()
  silent.behave({ stallAfter: 0 })
  const config = destination('up', `file://${site.cache}`, '') + destination('silent', silent.url, '')
  const paths = await queue(site, 1300)
  await site.watch(await site.configured(config))
  await until(() => paths.every((path) => site.isCached(path)), 'all jobs at the one that answers', LONG)
  expect(site.names('cur').length).toBeLessThanOrEqual(1000)
})

test('pausing one stops that one only', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [one, other] = [await server(), await server()]
  const config = await site.configured(destination('one', one.url) + destination('other', other.url))
  await site.watch(config)
  expect(await site.run(['pause', 'other', ...config])).toMatchObject({ exitCode: 0 })
  const paths = await queue(site, 20)
  await until(() => missing(site, paths, one).length === 0, 'all jobs at the one that goes on', LONG)
  await sleep(300)
  expect(missing(site, paths, other)).toEqual(paths)
  expect(site.counts()).toMatchObject({ done: 0, failed: 0 })

  expect(await site.run(['resume', 'other', ...config])).toMatchObject({ exitCode: 0 })
  await site.settle('done', 20, LONG)
  expect(missing(site, paths, other)).toEqual([])
  expect(one.count('PUT', /\.narinfo$/)).toBe(20)
})

// Their share of the places is 20 for each destination.
test('jobs that fail again and again leave room for others, however many they are', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const sent = join(site.nix.dir, 'sent')
  const script = `for p; do case $p in *-bad-*) exit 1; esac; done; printf '%s\\n' "$@" >> ${sent}`
  const own = `[[destination]]\nname = "choosy"\ncommand = ["sh", "-c", ${JSON.stringify(script)}, "sh"]\nretry-min = "1h"\nretry-max = "1h"\n`
  const others = Array.from({ length: 49 }, (_, at) =>
    destination(`other-${at}`, 'file:///', 'exclude = ["*"]'),
  )
  const config = await site.configured(`rescan-interval = "200ms"\n${own}${others.join('')}`)
  const bad = await site.paths(50, 'bad')
  await handOverAll(
    site,
    bad.map((path) => [path]),
  )
  const daemon = await site.watch(config)
  const failures = () => daemon.log.filter((line) => line.includes('"failed, will be tried again"')).length
  await until(() => failures() === bad.length, 'each of them to be tried', LONG)
  const [good = ''] = await site.paths(1, 'good')
  await site.handOver('good', JSON.stringify({ outPaths: [good] }))
  await site.settle('done', 1, LONG)
  expect(readFileSync(sent, 'utf8')).toBe(`${good}\n`)
  // None of them is tried before its time, wherever it waits.
  await sleep(500)
  expect(failures()).toBe(bad.length)
  expect(site.counts()).toEqual({ new: 40, cur: 10, done: 1, failed: 0 })
})
