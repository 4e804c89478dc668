// A destination that is down: left alone more and more, at no job's cost, and back as soon as it is back.

import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { IS_WHOLE } from '../proof/share.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { batchesIn, DEBUG, deliveries, handOverAll, logLines } from './bed.ts'

const JOBS = IS_WHOLE ? 10_000 : 3_000
/** A day on a busy machine. */
const LONG = 60_000

test('it is probed by one copy at a time, ever more seldom, and is back within one probe', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  cache.behave({ status: 503 })
  const settings =
    'batch-size = 3\nconcurrency = 2\nretry-min = "200ms"\nretry-max = "1600ms"\nmax-attempts = 1\nvia = "nix"\n'
  const paths = await site.paths(12)
  await handOverAll(
    site,
    paths.map((path) => [path]),
  )
  const config = `${DEBUG}[[destination]]\nto = "${cache.url}"\n${settings}`
  const daemon = await site.watch(await site.configured(config))
  const downs = () => logLines(daemon.log).filter(({ msg }) => msg === 'the destination is down')
  await until(() => downs().length >= 6, 'six failures', LONG)
  // Two batches at first; then one job at a time, with one request each.
  expect(cache.seen.length).toBeLessThanOrEqual(downs().length + 1)
  expect(
    new Set(
      batchesIn(daemon.log)
        .slice(2)
        .map(({ jobs }) => jobs),
    ),
  ).toEqual(new Set([1]))
  const times = downs().map(({ time }) => Date.parse(`${time}`))
  const waits = times.slice(1).map((time, at) => time - (times[at] ?? 0))
  for (const [at, wait] of waits.entries()) expect(wait).toBeGreaterThan(0.74 * Math.min(200 * 2 ** at, 1600))

  cache.calm()
  const backAt = performance.now()
  await until(() => site.names('done').length > 0, 'the next probe', LONG)
  // A quarter more than the longest wait, and what a copy takes.
  expect(performance.now() - backAt).toBeLessThan(1600 * 1.25 + 5_000)
  await site.settle('done', 12)
  const attempts = (await deliveries(site, 'done')).map(({ attempts }) => attempts)
  expect(attempts).toEqual(Array(12).fill(0))
  expect(daemon.log.some((line) => line.includes('the destination is back'))).toBe(true)
})

test('a mistake in nix.conf costs no job an attempt, and all goes on once it is corrected', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [path = ''] = await site.paths(1)
  await handOverAll(site, [[path]])
  const conf = join(site.nix.confDir, 'nix.conf')
  const correct = await readFile(conf, 'utf8')
  const settings = 'retry-min = "50ms"\nretry-max = "200ms"\nmax-attempts = 1\n'
  const config = await site.configured(`[[destination]]\nto = "file://${site.cache}"\n${settings}`)
  await writeFile(conf, `${correct}no setting\n`)
  const daemon = await site.watch(config)
  const isDown = (line: string) =>
    line.includes('the destination is down') && line.includes('correct it, in nix.conf')
  await until(() => daemon.log.filter(isDown).length > 2, 'three failures', LONG)
  await writeFile(conf, correct)
  await site.settle('done', 1)
  expect((await deliveries(site, 'done')).map(({ attempts }) => attempts)).toEqual([0])
})

test('a job that the destination stumbles over is not all it is probed with', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  const [poison = '', ...others] = await site.paths(6)
  // Whoever asks for this one gets no answer at all.
  cache.behave(
    { dropAfter: 0 },
    { path: new RegExp(`${poison.slice(site.nix.storeDir.length + 1).slice(0, 32)}`) },
  )
  const settings = 'retry-min = "100ms"\nretry-max = "300ms"\nbatch-size = 1\n'
  const config = await site.configured(`[[destination]]\nto = "${cache.url}"\n${settings}`)
  const daemon = await site.watch(config)
  await handOverAll(site, [[poison]], 'poison')
  await daemon.says('the destination is down')
  await handOverAll(
    site,
    others.map((path) => [path]),
  )
  await site.settle('done', 5, LONG)
  cache.calm()
  await site.settle('done', 6, LONG)
})

test(`a weekend: ${JOBS} jobs wait, none fails, and all of them go out in batches`, {
  timeout: 300_000,
}, async ({ annotate }) => {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  await cache.stop()
  let connections = 0
  const refusing = createServer((socket) => {
    connections++
    socket.destroy()
  })
  onTestFinished(() => void refusing.close())
  refusing.listen(cache.port, '127.0.0.1')
  await once(refusing, 'listening')

  const paths = await site.paths(100)
  const job = (at: number) => [paths[at % paths.length] ?? '']
  await handOverAll(
    site,
    Array.from({ length: JOBS }, (_, at) => job(at)),
  )
  const settings = 'retry-min = "50ms"\nretry-max = "200ms"\nmax-attempts = 1\nvia = "nix"\n'
  const config = `${DEBUG}keep-done-count = 20000\n[[destination]]\nto = "${cache.url}"\n${settings}`
  const daemon = await site.watch(await site.configured(config))
  await daemon.says('the destination is down', LONG)
  const downAt = performance.now()
  await until(() => performance.now() - downAt > 4_000, 'the weekend to pass')
  const downMs = performance.now() - downAt
  const { done, failed, cur } = site.counts()
  expect({ done, failed }).toEqual({ done: 0, failed: 0 })
  expect(cur).toBeLessThanOrEqual(1000)
  // Waits of 50, 100 and then 200 ms, a quarter less by chance; two batches may have begun side by side.
  expect(connections).toBeLessThan(5 + downMs / 150)
  await annotate(`${connections} connections in ${Math.round(downMs)} ms`)

  refusing.close()
  await once(refusing, 'close')
  await cache.start()
  await site.settle('done', JOBS, 240_000)
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: JOBS, failed: 0 })
  const records = await deliveries(site, 'done')
  expect(records.filter(({ state, attempts }) => state !== 'done' || attempts !== 0)).toEqual([])
  const since = logLines(daemon.log).findIndex(({ msg }) => msg === 'the destination is back')
  const batches = batchesIn(daemon.log.slice(since))
  // On a busy machine, each is smaller.
  expect(batches.length).toBeLessThan(JOBS / 50)
  await annotate(`${batches.length} batches for ${JOBS} jobs`)
})
