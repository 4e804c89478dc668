// One destination is down when jobs come: what the other has got it has got, once.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { makeSite } from './site.ts'

test('a destination that is down has no job sent to the others again', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.enqueue(await site.paths(1))
  const config = await site.configured(`rescan-interval = "300ms"
[[destination]]
name = "up"
to = "file://${site.cache}"
[[destination]]
name = "down"
to = "http://127.0.0.1:1/"
retry-min = "1h"
retry-max = "1h"
`)
  const daemon = await site.watch(config)
  await daemon.says('the destination is down')
  const paths = await site.paths(5)
  const names = await site.enqueue(paths)
  const deliveries = () => daemon.log.filter((line) => line.includes('"delivered"')).length
  await sleep(2_000)
  expect(deliveries()).toBe(6)
  for (const path of paths) expect(site.isCached(path)).toBe(true)
  await daemon.stop()
  for (const name of names) {
    expect(await site.delivery('new', name, 'up')).toMatchObject({ state: 'done' })
    expect(await site.delivery('new', name, 'down')).toMatchObject({ state: 'waiting', attempts: 0 })
    expect(await site.job('new', name)).not.toHaveProperty('history')
  }
})
