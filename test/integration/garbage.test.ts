// What is queued survives the garbage collector until it is uploaded, wherever in the spool it is.

import { expect, test } from 'vitest'
import { makeSite, type Site } from './site.ts'

/** A destination that is down, and stays so for the length of a test. Nothing listens on port 1. */
const DOWN = '[[destination]]\nto = "http://127.0.0.1:1/"\nretry-min = "1h"\nretry-max = "1h"\n'
/** A destination that refuses each job for good. */
const REFUSING = '[[destination]]\ncommand = ["false"]\nmax-attempts = 1\n'

test.each([
  { by: 'the hook', queue: (site: Site, path: string) => site.hook([path]) },
  { by: '`enqueue`', queue: (site: Site, path: string) => site.enqueue([path]) },
])(
  'paths queued by $by are collected after their upload and not before',
  {
    timeout: 60_000,
  },
  async ({ queue }) => {
    const site = await makeSite()
    await site.makeSpool()
    const [refused = '', claimed = '', waiting = '', unqueued = ''] = await site.paths(4)
    const surviving = async () => {
      await site.nix.gc()
      const valid = await Promise.all(
        [refused, claimed, waiting, unqueued].map((path) => site.nix.isValid(path)),
      )
      return { refused: valid[0], claimed: valid[1], waiting: valid[2], unqueued: valid[3] }
    }

    await queue(site, refused)
    expect(await site.run(['drain', ...(await site.configured(REFUSING))])).toMatchObject({ exitCode: 1 })
    await queue(site, claimed)
    const daemon = await site.watch(await site.configured(DOWN))
    await daemon.says('the destination is down')
    await queue(site, waiting)
    expect(site.counts()).toEqual({ new: 1, cur: 1, done: 0, failed: 1 })
    expect(await surviving()).toEqual({ refused: true, claimed: true, waiting: true, unqueued: false })

    expect(await daemon.stop()).toBe(0)
    expect(await site.run(['requeue', '--all'])).toMatchObject({ exitCode: 0 })
    expect(site.counts()).toEqual({ new: 3, cur: 0, done: 0, failed: 0 })
    expect(await surviving()).toEqual({ refused: true, claimed: true, waiting: true, unqueued: false })

    expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
    expect([refused, claimed, waiting].map((path) => site.isCached(path))).toEqual([true, true, true])
    expect(await surviving()).toEqual({ refused: false, claimed: false, waiting: false, unqueued: false })
  },
)

test('a path queued twice is held until both of its jobs are done', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [path = ''] = await site.paths(1)
  await site.hook([path])
  await site.enqueue([path])
  const [kept = ''] = site.names('new')
  await site.nix.run('mv', [site.path('new', kept), site.path('failed', kept)])
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  await site.nix.gc()
  expect(await site.nix.isValid(path)).toBe(true)

  await site.nix.run('mv', [site.path('failed', kept), site.path('new', kept)])
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  await site.nix.gc()
  expect(await site.nix.isValid(path)).toBe(false)
})

test.each([
  { by: '`prune`', command: 'prune' },
  { by: 'a `drain` that is paused', command: 'drain' },
])('what an `mv` brings back while no daemon runs is protected by $by, not before', async ({ command }) => {
  const site = await makeSite()
  await site.makeSpool()
  const [path = ''] = await site.paths(1)
  const [job = ''] = await site.enqueue([path])
  await site.run(['drain'])
  await site.run(['pause'])
  await site.nix.run('mv', [site.path('done', job), site.path('new', job)])
  expect(site.roots()).toEqual([])
  await site.run([command])
  expect(site.counts()).toMatchObject({ new: 1, done: 0 })
  await site.nix.gc()
  expect(await site.nix.isValid(path)).toBe(true)
})
