// Nothing depends on the clock being right, or on its going forward only.

import { rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { makeSite, type Site } from './site.ts'

const DAY = 86_400
/** The lock is renewed every two seconds; a holder who takes its own time stamp for another's gives up then. */
const TWO_RENEWALS_MS = 4500

test('a clock that is set back a day, and forward again, stops nothing', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const clock = await movableClock(site)
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  const config = `[[destination]]\nto = "${cache.url}"\nretry-min = "500ms"\nretry-max = "1s"\n`
  const daemon = site.start(['watch', ...(await site.configured(config))], [], clock.env)
  await daemon.says('"watching"')
  await site.enqueue(await site.paths(2))
  await site.settle('done', 2)

  await cache.stop()
  await site.enqueue(await site.paths(2))
  await daemon.says('"the destination is down"')
  await clock.setBack()
  await cache.start()
  await site.settle('done', 4)
  await sleep(TWO_RENEWALS_MS)
  await site.enqueue(await site.paths(2))
  await site.settle('done', 6)
  expect(await site.start(['watch'], [], clock.env).exited).toBe(75)

  await clock.setRight()
  await sleep(TWO_RENEWALS_MS)
  await site.enqueue(await site.paths(2))
  await site.settle('done', 8)
  expect(await daemon.stop()).toBe(0)
})

test('jobs from the future and from 1970 are delivered like others', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [future, past] = await site.paths(2)
  await site.handOver(
    '29991231T235959Z-future.json',
    JSON.stringify({ outPaths: [future], queuedAt: '2999-12-31T23:59:59Z' }),
  )
  await site.handOver(
    '19700101T000000Z-past.json',
    JSON.stringify({ outPaths: [past], queuedAt: '1970-01-01T00:00:00Z' }),
  )
  const tomorrow = Date.now() / 1000 + DAY
  await utimes(site.path('new', '29991231T235959Z-future.json'), tomorrow, tomorrow)
  await utimes(site.path('new', '19700101T000000Z-past.json'), 0, 0)
  // Of a writer whose clock is ahead: neither taken for a job nor swept.
  await writeFile(site.path('tmp', 'half'), '{"outP')
  await utimes(site.path('tmp', 'half'), tomorrow, tomorrow)

  expect(await site.run(['status'])).toMatchObject({ exitCode: 0, stderr: '' })
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect(await site.run(['prune'])).toMatchObject({ exitCode: 0 })
  expect(site.names('done')).toEqual(['19700101T000000Z-past.json', '29991231T235959Z-future.json'])
  expect(site.names('tmp')).toEqual(['half'])
})

/** A clock for a Node process that can be set while it runs. What counts the time that goes by is not touched by it. */
async function movableClock(site: Site) {
  const [preload, mark] = [join(site.nix.dir, 'clock.mjs'), join(site.nix.dir, 'set-back')]
  await writeFile(
    preload,
    `import { existsSync } from 'node:fs'
    const RealDate = Date
    const now = () => RealDate.now() - (existsSync(${JSON.stringify(mark)}) ? ${DAY * 1000} : 0)
    globalThis.Date = class extends RealDate {
      constructor(...args) {
        if (args.length === 0) super(now())
        else super(...args)
      }
      static now() {
        return now()
      }
    }`,
  )
  return {
    env: { NODE_OPTIONS: `--import=${preload}` },
    setBack: () => writeFile(mark, ''),
    setRight: () => rm(mark),
  }
}
