// What holds deliveries up for a while: somebody's pause, a destination that is away.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { until } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

test.each([
  {
    by: '`pause` and `resume`',
    pause: (site: Site) => site.run(['pause']),
    resume: (site: Site) => site.run(['resume']),
  },
  {
    by: 'touch and rm',
    pause: (site: Site) => site.nix.run('touch', [join(site.spool, 'paused')]),
    resume: (site: Site) => site.nix.run('rm', [join(site.spool, 'paused')]),
  },
])(
  'with $by: the running copy finishes, all else waits in new/, and then goes on',
  {
    timeout: 60_000,
  },
  async ({ pause, resume }) => {
    const site = await makeSite()
    await site.makeSpool()
    const cache = await startCache()
    cache.behave({ delayMs: 500 }, { path: /nar/, method: 'PUT' })
    const config = `[[destination]]\nto = "${cache.url}"\nbatch-size = 1\nconcurrency = 1\n`
    const daemon = await site.watch(await site.configured(config))
    await site.enqueue(await site.paths(3))
    await until(() => cache.count('PUT', /nar/) > 0, 'the first upload')

    expect(await pause(site)).toMatchObject({ exitCode: 0 })
    await daemon.says('"paused: nothing is claimed until nix-upload resume"')
    await site.settle('new', 2)
    await site.settle('done', 1)
    await site.enqueue(await site.paths(1))
    await sleep(500)
    expect(site.counts()).toEqual({ new: 3, cur: 0, done: 1, failed: 0 })
    expect(cache.count('PUT', /\.narinfo$/)).toBe(1)

    cache.calm()
    expect(await resume(site)).toMatchObject({ exitCode: 0 })
    await daemon.says('"resumed"')
    await site.settle('done', 4)
  },
)

test('a destination that comes back gets what waited for it, without hands', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startCache()
  await cache.stop()
  const away = `[[destination]]\nname = "away"\nto = "${cache.url}"\nretry-min = "200ms"\nretry-max = "400ms"\n`
  const near = `[[destination]]\nname = "near"\nto = "file://${site.cache}"\n`
  const daemon = await site.watch(await site.configured(away + near))
  const paths = await site.paths(20)
  await site.enqueue(paths)
  await daemon.says('"the destination is down"')
  // It delays no other.
  await until(() => paths.every((path) => site.isCached(path)), 'all paths at the one destination that is up')
  expect(site.counts()).toMatchObject({ done: 0, failed: 0 })

  await cache.start()
  await site.settle('done', paths.length)
  expect(paths.filter((path) => !site.isCached(path, cache.dir))).toEqual([])
  await daemon.says('"the destination is back"')
  for (const name of site.names('done')) {
    expect(await site.delivery('done', name, 'away')).toMatchObject({ state: 'done', attempts: 0 })
  }
})

async function startCache(): Promise<MoodyCache> {
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  return cache
}
