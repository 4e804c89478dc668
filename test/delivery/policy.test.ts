// What a destination wants: by name, by size, with or without derivations and logs.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { HOOK, makeSite, type Site } from '../integration/site.ts'
import { versions } from './bed.ts'

async function drain(site: Site, more: string, to = `file://${site.cache}`) {
  const config = await site.configured(`[[destination]]\nto = "${to}"\n${more}`)
  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
}

/** What became of a path's job, and the words for it. */
async function recordOf(site: Site, name: string) {
  const [job = ''] = site.names('done').filter((job) => job.includes(name))
  const { state, note, attempts } = await site.delivery('done', job)
  return { state, note, attempts }
}

test('exclude and include go by name; a skipped job is done and says why', async () => {
  const site = await makeSite()
  const names = ['app-1.0', 'app-1.0-source', 'nixos-system-x', 'other-2']
  const paths = await site.nix.addAllToStore(Object.fromEntries(names.map((name) => [name, name])))
  await site.enqueue(paths)
  await drain(site, 'include = ["app-*", "nixos-*"]\nexclude = ["*-source", "nixos-system-*"]\n')
  expect(paths.map((path) => site.isCached(path))).toEqual([true, false, false, false])
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 4, failed: 0 })
  const skipped = (why: string) => ({ state: 'skipped', attempts: 0, note: expect.stringContaining(why) })
  expect(await recordOf(site, 'app-1.0-source')).toEqual(skipped('app-1.0-source: excluded by "*-source"'))
  expect(await recordOf(site, 'nixos-system')).toEqual(skipped('excluded by "nixos-system-*"'))
  expect(await recordOf(site, 'other-2')).toEqual(skipped('other-2: not included'))
  expect(await recordOf(site, 'app-1.0.json')).toEqual({ state: 'done', attempts: 0 })
  expect(site.roots()).toEqual([])
})

test('of a job with several outputs the wanted ones go, and the others are named', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const { outPaths } = await site.nix.build({ name: 'app', outputs: ['out', 'debug'] })
  await site.hook(outPaths)
  await drain(site, 'exclude = ["*-debug"]\n')
  expect(outPaths.map((path) => site.isCached(path))).toEqual([true, false])
  const { state, note } = await recordOf(site, 'app')
  expect([state, note]).toEqual(['done', `not uploaded, ${outPaths[1]}: excluded by "*-debug"`])
})

test('max-size leaves out what is larger, and says how large it is', async () => {
  const site = await makeSite()
  const paths = await site.nix.addAllToStore({ small: 'x'.repeat(900), large: 'x'.repeat(3000) })
  await site.enqueue(paths)
  await drain(site, 'max-size = "2 KB"\n')
  expect(paths.map((path) => site.isCached(path))).toEqual([true, false])
  const { state, note } = await recordOf(site, 'large')
  expect(state).toBe('skipped')
  expect(note).toMatch(/-large: 3\d\d\d bytes, larger than max-size/)
})

test('each destination has its own', async () => {
  const site = await makeSite()
  const paths = await site.nix.addAllToStore({ app: 'a', source: 's' })
  await site.enqueue(paths)
  const other = join(site.nix.dir, 'other')
  const second = `[[destination]]\nname = "other"\nto = "file://${other}"\nexclude = ["app"]\n`
  await drain(site, `name = "one"\nexclude = ["source"]\n${second}`)
  expect(paths.map((path) => site.isCached(path))).toEqual([true, false])
  expect(paths.map((path) => site.isCached(path, other))).toEqual([false, true])
})

/** Its build has a log. */
const CHATTY =
  'derivation { name = "chatty"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo once upon a time; echo x > $out" ]; }'

describe.each(versions)('with $name', (version) => {
  test.each(['a cache', 'a store'])('derivations and logs go along to %s', async (kind) => {
    const site = await makeSite(version)
    await site.makeSpool()
    const { drvPath, outPaths } = await site.nix.build(CHATTY, { hook: HOOK, hookEnv: site.env })
    expect(site.counts()).toMatchObject({ new: 1 })
    const root = join(site.nix.dir, 'root')
    const to = kind === 'a cache' ? `file://${site.cache}` : `local?root=${root}&require-sigs=false`
    await drain(site, 'derivations = true\nlogs = true\n', to)
    const valid = ['--store', to, '--check-validity', drvPath, ...outPaths]
    expect(await site.nix.run('nix-store', valid)).toMatchObject({ exitCode: 0 })
    const told = await site.nix.run('nix', ['log', '--store', to, drvPath])
    expect(told.stdout).toContain('once upon a time')
  })

  test('derivations and logs go along with a path that was queued by hand, too', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const { drvPath, outPaths } = await site.nix.build(CHATTY)
    await site.enqueue(outPaths)
    await drain(site, 'derivations = true\nlogs = true\n')
    expect(site.isCached(drvPath)).toBe(true)
    const told = await site.nix.run('nix', ['log', '--store', `file://${site.cache}`, drvPath])
    expect(told.stdout).toContain('once upon a time')
  })

  test('without being asked for, none of them do; a log that is not there is no failure', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const { drvPath } = await site.nix.build({ name: 'quiet' }, { hook: HOOK, hookEnv: site.env })
    await drain(site, '')
    expect(site.isCached(drvPath)).toBe(false)
    expect(existsSync(join(site.cache, 'log')) ? readdirSync(join(site.cache, 'log')) : []).toEqual([])

    await site.nix.run('rm', ['-rf', join(site.nix.dir, 'log')])
    await site.run(['requeue', ...site.names('done')])
    await drain(site, 'logs = true\n')
    expect(site.counts()).toMatchObject({ done: 1, failed: 0 })
  })
})
