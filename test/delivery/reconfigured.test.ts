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
  // The others go on waiting for the one that is down.
  expect(await drain(to('old', 'added'))).toBe(75)
  expect(has('added', done.path)).toBe(true)
})

test('T13: for a removed one jobs go on waiting, and `status` says so, until somebody gives it up', {
  timeout: 60_000,
}, async () => {
  const { site, to, drain } = await siteWithCaches()
  const { name } = await queue(site)
  expect(await drain(to('kept') + DOWN)).toBe(75)
  expect(await drain(to('kept'))).toBe(75)
  expect(site.counts()).toEqual({ new: 1, cur: 0, done: 0, failed: 0 })
  expect(site.roots()).toHaveLength(1)
  const config = await site.configured(to('kept'))
  const { stdout } = await site.run(['status', ...config])
  expect(stdout).toMatch(/^down +none +http:\/\/127.0.0.1:1\/ +not configured: .*nix-upload forget down/m)
  const { destinations } = JSON.parse((await site.run(['status', '--json', ...config])).stdout)
  expect(destinations[1]).toMatchObject({ name: 'down', configured: false, waiting: { jobs: 1 } })

  expect(await site.run(['forget', 'kept', ...config])).toMatchObject({ exitCode: 2 })
  expect(await site.run(['forget', 'down', ...config])).toMatchObject({ exitCode: 0, stdout: name })
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 1, failed: 0 })
  expect(await site.delivery('done', name, 'kept')).toMatchObject({ state: 'done' })
  const removed = await site.delivery('done', name, 'down')
  expect(removed).toMatchObject({ state: 'skipped', note: expect.stringContaining('given up') })
})

test('T13: a running daemon that still has it must be restarted before it can be forgotten', {
  timeout: 60_000,
}, async () => {
  const { site, to } = await siteWithCaches()
  const { name } = await queue(site)
  const before = await site.watch(await site.configured(to('kept') + DOWN))
  await before.says('the destination is down')
  const config = await site.configured(to('kept'))
  expect(await site.run(['forget', 'down', ...config])).toMatchObject({
    exitCode: 2,
    stdout: '',
    stderr: expect.stringMatching(
      /the running daemon, process \d+, still uploads to "down": restart it first/,
    ),
  })
  await before.stop()
  await site.watch(config)
  expect(await site.run(['forget', 'down', ...config])).toMatchObject({ exitCode: 0, stdout: name })
})

test('T13: what is forgotten goes on waiting for what is configured now', { timeout: 60_000 }, async () => {
  const { site, to, has, drain } = await siteWithCaches()
  const { path, name } = await queue(site)
  expect(await drain(DOWN)).toBe(75)
  const config = await site.configured(to('instead'))
  expect(await site.run(['forget', 'down', ...config])).toMatchObject({ exitCode: 0, stdout: name })
  expect(site.names('new')).toEqual([name])
  expect(await drain(to('instead'))).toBe(0)
  expect(has('instead', path)).toBe(true)
})

test('one that is put back gets what waited for it', { timeout: 60_000 }, async () => {
  const { site, to, has, drain } = await siteWithCaches()
  const { path } = await queue(site)
  expect(await drain(`${to('kept')}[[destination]]\nname = "away"\nto = "http://127.0.0.1:1/"\n`)).toBe(75)
  expect(await drain(to('kept'))).toBe(75)
  // At another place: a destination is known by its name and its URL.
  expect(await drain(to('kept', 'away'))).toBe(0)
  expect(has('away', path)).toBe(true)
})

test('by the same name another place is another destination', { timeout: 60_000 }, async () => {
  const { site, has, drain } = await siteWithCaches()
  const { path } = await queue(site)
  const at = (dir: string) => `[[destination]]\nname = "cache"\nto = "file://${site.nix.dir}/cache-${dir}"\n`
  expect(await drain(at('old') + DOWN)).toBe(75)
  expect(await drain(at('new') + DOWN)).toBe(75)
  expect([has('old', path), has('new', path)]).toEqual([true, true])
})

test('--to delivers there too, and leaves the rest waiting', { timeout: 60_000 }, async () => {
  const { site, to, has, drain } = await siteWithCaches()
  const { path, name } = await queue(site)
  const config = await site.configured(to('one', 'two'))
  const there = ['--to', `file://${site.nix.dir}/cache-there`]
  expect(await site.run(['drain', ...config, ...there])).toMatchObject({ exitCode: 75 })
  expect(['there', 'one', 'two'].map((cache) => has(cache, path))).toEqual([true, false, false])
  expect(site.names('new')).toEqual([name])
  expect(await site.run(['drain', ...config, ...there])).toMatchObject({ exitCode: 75 })
  expect(await drain(to('one', 'two'))).toBe(0)
  expect([has('one', path), has('two', path)]).toEqual([true, true])
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
