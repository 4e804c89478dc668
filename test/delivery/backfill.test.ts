// `backfill` after the queue was off for a while: exactly what was built here meanwhile and is not at the destination.

import { describe, expect, test } from 'vitest'
import { HOOK, makeSite, NIX_UPLOAD, type Site } from '../integration/site.ts'
import { versions } from './bed.ts'

const backfill = async (site: Site, ...args: string[]) => {
  const result = await site.run(['backfill', '--since', '1h', ...args])
  return { ...result, lines: result.stdout.split('\n').filter(Boolean).sort() }
}

/** The store paths that the jobs in new/ name, by job. */
async function queued(site: Site): Promise<unknown[][]> {
  const jobs = await Promise.all(site.names('new').map((name) => site.job('new', name)))
  return jobs.map(({ outPaths }) => (Array.isArray(outPaths) ? outPaths.toSorted() : [])).sort()
}

describe.each(versions)('with $name', (version) => {
  test('queues what was built and is not there, and nothing else', { timeout: 60_000 }, async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const { nix } = site
    // Built with the hook, and delivered; built with the hook, and waiting; built with the hook, and failed.
    const delivered = await nix.build({ name: 'delivered' }, { hook: HOOK, hookEnv: site.env })
    expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
    const failed = await nix.build({ name: 'failed' }, { hook: HOOK, hookEnv: site.env })
    const config = await site.configured('[[destination]]\ncommand = ["false"]\nmax-attempts = 1\n')
    expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 1 })
    const waiting = await nix.build({ name: 'waiting' }, { hook: HOOK, hookEnv: site.env })
    const before = site.names('new')
    expect(before.join()).toContain('-waiting.json')
    // Not built here: a source, and what came from another cache.
    const [source = ''] = await site.paths(1, 'source')
    const { outPaths: foreign } = await nix.build({ name: 'foreign' })
    const elsewhere = `file://${nix.dir}/elsewhere`
    await nix.run('nix', ['copy', '--to', elsewhere, ...foreign])
    await nix.run('nix-store', ['--delete', ...foreign])
    const fetched = await nix.run('nix', ['copy', '--no-check-sigs', '--from', elsewhere, ...foreign])
    expect(fetched).toMatchObject({ exitCode: 0 })
    // Built without the hook, with a dependency and with several outputs; and one that somebody uploaded by hand.
    const missed = await nix.build({
      name: 'missed',
      deps: [{ name: 'library' }, source],
      outputs: ['out', 'dev'],
    })
    const library = (await nix.build({ name: 'library' })).outPaths
    const byHand = await nix.build({ name: 'by-hand' })
    await nix.run('nix', ['copy', '--to', `file://${site.cache}`, ...byHand.outPaths])

    const expected = [...missed.outPaths, ...library].sort()
    expect(await backfill(site, '--dry-run')).toMatchObject({
      exitCode: 0,
      lines: expected,
      stderr: expect.stringMatching(/: 2 jobs would be queued, of \d+ paths built here in that time$/),
    })
    expect(site.names('new')).toEqual(before)

    const { exitCode, lines, stderr } = await backfill(site)
    expect({ exitCode, jobs: lines.length }).toEqual({ exitCode: 0, jobs: 2 })
    expect(stderr).toMatch(/2 jobs queued/)
    const both = [missed.outPaths.toSorted(), library, waiting.outPaths]
    expect(await queued(site)).toEqual(both.sort())
    expect(site.roots()).toHaveLength(5)

    // Again: it is queued by now. Then it is there.
    expect(await backfill(site)).toMatchObject({ exitCode: 0, lines: [] })
    expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
    expect([...expected, ...delivered.outPaths].every((path) => site.isCached(path))).toBe(true)
    expect(site.isCached(failed.outPaths[0] ?? '')).toBe(false)
    expect(await backfill(site, '--dry-run')).toMatchObject({
      exitCode: 0,
      lines: [],
      stderr: expect.stringMatching(/: 0 jobs would be queued/),
    })
  })
})

test('looks no further back than it is told to', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const { outPaths } = await site.nix.build({ name: 'app' })
  const twoHoursOn = (since: string) =>
    site.nix.run('faketime', ['-f', '+2h', NIX_UPLOAD, 'backfill', '--dry-run', '--since', since], {
      env: site.env,
    })
  expect(await twoHoursOn('1h')).toMatchObject({ exitCode: 0, stdout: '' })
  expect(await twoHoursOn('3h')).toMatchObject({ exitCode: 0, stdout: outPaths.join('\n') })
})

test('takes a destination that can not be asked to lack everything, and says so', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const { outPaths } = await site.nix.build({ name: 'app' })
  const down = await backfill(site, '--dry-run', '--to', 'http://127.0.0.1:1')
  expect(down).toMatchObject({ exitCode: 0, lines: outPaths })
  expect(down.stderr).toMatch(/can't be asked for its paths, so all are queued/)
  const config = await site.configured('[[destination]]\ncommand = ["true"]\n')
  expect(await backfill(site, '--dry-run', ...config)).toMatchObject({ exitCode: 0, lines: outPaths })
})

test('one destination of two lacks it: it is queued', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const { outPaths } = await site.nix.build({ name: 'app' })
  await site.nix.run('nix', ['copy', '--to', `file://${site.cache}`, ...outPaths])
  const config = await site.configured(
    `[[destination]]\nname = "a"\nto = "file://${site.cache}"\n[[destination]]\nname = "b"\nto = "file://${site.nix.dir}/b"\n`,
  )
  expect(await backfill(site)).toMatchObject({ exitCode: 0, lines: [] })
  expect((await backfill(site, ...config)).lines).toHaveLength(1)
})
