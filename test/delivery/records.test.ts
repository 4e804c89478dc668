// What a job's file says of several destinations, and what follows from it.

import { expect, test } from 'vitest'
import { makeSite } from '../integration/site.ts'
import { deliveries, handOverAll } from './bed.ts'

const LONG = 60_000

const section = (name: string, cache: string) => `[[destination]]\nname = "${name}"\nto = "file://${cache}"\n`

// Values that every JavaScript object has under these names once counted as the jobs' records: all were done, and nothing was sent.
test('a destination may be called as a value is that every object inherits', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const names = ['constructor', 'toString', 'valueOf']
  const cacheOf = (name: string) => `${site.cache}-${name}`
  const config = names.map((name) => section(name, cacheOf(name))).join('')
  const [path = ''] = await site.paths(1)
  await handOverAll(site, [[path]])
  expect(await site.run(['drain', ...(await site.configured(config))])).toMatchObject({ exitCode: 0 })
  for (const name of names) {
    expect([name, site.isCached(path, cacheOf(name))]).toEqual([name, true])
    expect(await deliveries(site, 'done', name)).toMatchObject([{ state: 'done' }])
  }
})

test('one destination has a job, the other is paused before it has tried it, and the daemon is killed: it is not taken for requeued', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const slow = '[[destination]]\nname = "slow"\ncommand = ["sh", "-c", "exec sleep 600"]\n'
  const config = await site.configured(section('quick', site.cache) + slow)
  await site.run(['pause', 'quick', ...config])
  const daemon = await site.watch(config)
  const [path = ''] = await site.paths(1)
  await handOverAll(site, [[path]])
  await site.settle('cur', 1)
  await site.run(['pause', 'slow', ...config])
  await site.run(['resume', 'quick', ...config])
  const states = async () => {
    const { destinations } = await site.job('cur', 'by-hand-00000.json')
    return destinations
  }
  await expect.poll(states, { timeout: LONG }).toMatchObject({ quick: { state: 'done' } })
  expect(await states()).toMatchObject({ slow: { state: 'waiting', attempts: 0 } })
  daemon.killWithChildren()
  await daemon.exited

  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 75 })
  expect(site.isCached(path)).toBe(true)
  const [job = ''] = site.names('new')
  expect(await site.job('new', job)).not.toHaveProperty('history')
})
