// A destination is added to the configuration, or taken out of it, while jobs wait.

import { expect, test } from 'vitest'
import { makeSite, type Site } from '../integration/site.ts'

const DOWN = '[[destination]]\nname = "down"\nto = "http://127.0.0.1:1/"\n'

/** A site whose destinations by these names are caches beside the spool. */
async function siteWithCaches() {
  const site = await makeSite()
  await site.makeSpool()
  const dir = (name: string) => `${site.nix.dir}/cache-${name}`
  const to = (...names: string[]) =>
    names.map((name) => `[[destination]]\nname = "${name}"\nto = "file://${dir(name)}"\n`).join('')
  const has = (name: string, path: string) => site.isCached(path, dir(name))
  const drain = async (config: string) =>
    (await site.run(['drain', ...(await site.configured(config))])).exitCode
  return { site, to, has, drain }
}

async function queue(site: Site): Promise<{ path: string; name: string }> {
  const [path = ''] = await site.paths(1)
  const [name = ''] = await site.enqueue([path])
  return { path, name }
}

test('an added one gets the jobs that wait, and not those that are done', { timeout: 60_000 }, async () => {
  const { site, to, has, drain } = await siteWithCaches()
  const done = await queue(site)
  expect(await drain(to('old'))).toBe(0)
  const waiting = await queue(site)
  expect(await drain(to('old') + DOWN)).toBe(75)
  const fresh = await queue(site)

  expect(await drain(to('old', 'added') + DOWN)).toBe(75)
  expect([done, waiting, fresh].map(({ path }) => has('added', path))).toEqual([false, true, true])
  expect(await site.delivery('new', waiting.name, 'added')).toMatchObject({ state: 'done' })
  expect((await site.job('done', done.name)).destinations).not.toHaveProperty('added')

  // Who wants it there too asks for it.
  expect(await site.run(['requeue', done.name])).toMatchObject({ exitCode: 0 })
  expect(await drain(to('old', 'added'))).toBe(0)
  expect(has('added', done.path)).toBe(true)
})

test('of a removed one nobody waits for, and the job says so', { timeout: 60_000 }, async () => {
  const { site, to, drain } = await siteWithCaches()
  const { name } = await queue(site)
  expect(await drain(to('kept') + DOWN)).toBe(75)
  expect(await drain(to('kept'))).toBe(0)
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 1, failed: 0 })
  expect(await site.delivery('done', name, 'kept')).toMatchObject({ state: 'done' })
  const removed = await site.delivery('done', name, 'down')
  expect(removed).toMatchObject({ state: 'skipped', note: 'this destination is not configured any more' })
  expect(removed.error).toMatch(/does not accept connections/)
  expect(site.roots()).toEqual([])
})

test('a removed one that failed keeps a job in failed/; requeued, it is done without', {
  timeout: 60_000,
}, async () => {
  const { site, to, has, drain } = await siteWithCaches()
  const { name, path } = await queue(site)
  const refusing = '[[destination]]\nname = "refusing"\ncommand = ["false"]\nmax-attempts = 1\n'
  expect(await drain(to('kept') + refusing)).toBe(1)
  expect(await site.delivery('failed', name, 'kept')).toMatchObject({ state: 'done' })
  await site.run(['requeue', name])
  expect(await drain(to('kept', 'added'))).toBe(0)
  expect(has('added', path)).toBe(true)
  expect(site.names('done')).toEqual([name])
})
