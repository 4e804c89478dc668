// One bad job in a batch holds up no other, and is found in a few runs.

import { chmod, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeSite, type Site } from '../integration/site.ts'
import { IS_WHOLE } from '../proof/share.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { batchesIn, DEBUG, deliveries, handOverAll, spread, versions } from './bed.ts'

const JOBS = 100
const [isNew, isFailed] = [{ state: 'new' as const }, { state: 'failed' as const }]
/** A search takes dozens of copies: one version will do, and of five jobs one status each way; the longest with PROOF=1. */
const REFUSALS = [
  { via: 'nix', status: 403, bad: 5, ...isNew, reason: /refuses .*HTTP error 403/ },
  { via: 'nix', status: 400, bad: 2, ...isNew, reason: /Nix failed.*HTTP error 400.*while uploading/ },
  { via: 'nix', status: 413, bad: 2, ...isFailed, reason: /file of this size.*HTTP error 413/ },
  { via: 'writer', status: 400, bad: 2, ...isNew, reason: /takes other paths, but refuses .*: 400/ },
  { via: 'writer', status: 413, bad: 5, ...isFailed, reason: /file of this size.*: 413/ },
]

/** More copies than this were not a search by halves: one for the batch, two proofs, two for each halving. */
const mostRuns = (bad: number) => 3 + 2 * bad * Math.ceil(Math.log2(JOBS))

interface Options {
  to?: string
  more?: string
}

/** Queues 100 jobs, of which `bad` are spoilt; drains once. */
async function drainWith(
  site: Site,
  bad: number,
  spoil: (paths: string[]) => Promise<unknown>,
  { to = `file://${site.cache}`, more = '' }: Options = {},
) {
  const paths = await site.paths(JOBS)
  const spoilt = spread(paths, bad)
  await site.makeSpool()
  await spoil(spoilt)
  await handOverAll(
    site,
    paths.map((path) => [path]),
  )
  const config = await site.configured(`${DEBUG}[[destination]]\nto = "${to}"\n${more}`)
  const drained = await site.run(['drain', ...config])
  expect(batchesIn(drained.stderr)).toHaveLength(1)
  return { ...drained, paths, spoilt, runs: batchesIn(drained.stderr)[0]?.runs ?? 0 }
}

/** Each bad job says what is wrong with it, and names the path. */
async function expectReasons(site: Site, state: 'new' | 'failed', spoilt: string[], reason: RegExp) {
  const records = await deliveries(site, state)
  expect(records).toHaveLength(spoilt.length)
  for (const { attempts, error } of records) {
    expect(attempts).toBe(1)
    expect(error).toMatch(reason)
  }
  for (const path of spoilt) expect(records.filter(({ error }) => `${error}`.includes(path))).toHaveLength(1)
}

describe.each(versions)('with $name, of 100 jobs', (version) => {
  const isNewest = version === versions.at(-1)

  test.each(isNewest ? [0, 1, 5] : [5])('%i that were collected cost no run', async (bad) => {
    const site = await makeSite(version)
    const collect = (paths: string[]) => site.nix.run('nix-store', ['--delete', ...paths])
    const { exitCode, runs, spoilt } = await drainWith(site, bad, collect)
    expect({ exitCode, runs, counts: site.counts() }).toEqual({
      exitCode: bad > 0 ? 1 : 0,
      runs: 1,
      counts: { new: 0, cur: 0, done: JOBS - bad, failed: bad },
    })
    await expectReasons(site, 'failed', spoilt, /^not in the local store \(garbage-collected/)
  })

  test('5 that were changed on the disk, or are gone from it, cost no run', async () => {
    const site = await makeSite(version)
    const damage = async ([gone = '', ...changed]: string[]) => {
      await rm(gone)
      for (const path of changed) {
        await chmod(path, 0o644)
        await writeFile(path, 'not what was built')
      }
    }
    const { exitCode, runs, spoilt, paths } = await drainWith(site, 5, damage)
    expect({ exitCode, runs }).toEqual({ exitCode: 1, runs: 1 })
    await expectReasons(site, 'failed', spoilt, /the content of .* in the local store is not what was built/)
    expect(paths.filter((path) => !site.isCached(path))).toEqual(spoilt)
  })

  test.each([
    { via: 'nix', status: 403, bad: 1, ...isNew, reason: /refuses .*HTTP error 403/ },
    { via: 'writer', status: 403, bad: 1, ...isNew, reason: /refuses .*: 403/ },
    ...(isNewest ? REFUSALS.slice(IS_WHOLE ? 0 : 2) : []),
  ])('$bad of which the server refuses a file with $status, via $via', async (refusal) => {
    const { via, status, bad, state, reason } = refusal
    const site = await makeSite(version)
    const server = await startMoodyCache()
    onTestFinished(() => server.cleanup())
    const refuse = async (paths: string[]) => {
      const files = via === 'nix' ? await narsOf(site, paths) : paths.map(narinfoOf)
      for (const path of files) server.behave({ status }, { method: 'PUT', path })
    }
    const { exitCode, runs, spoilt } = await drainWith(site, bad, refuse, {
      to: server.url,
      more: via === 'nix' ? 'via = "nix"\n' : '',
    })
    expect({ exitCode, counts: site.counts() }).toEqual({
      exitCode: state === 'failed' ? 1 : 75,
      counts: { new: 0, cur: 0, failed: 0, done: JOBS - bad, [state]: bad },
    })
    expect(runs).toBeLessThanOrEqual(mostRuns(bad))
    await expectReasons(site, state, spoilt, reason)
  })
})

/** Where a server gets what tells of a path. */
const narinfoOf = (path: string) => new RegExp(`/${basename(path).slice(0, 32)}\\.narinfo$`)

/** Where a server gets the NARs of paths: their names are hashes of what Nix makes of them. */
async function narsOf(site: Site, paths: string[]): Promise<RegExp[]> {
  const cache = join(site.nix.dir, 'named')
  await site.nix.run('nix', ['copy', '--to', `file://${cache}?compression=zstd`, ...paths])
  const narinfos = paths.map((path) =>
    readFile(join(cache, `${basename(path).slice(0, 32)}.narinfo`), 'utf8'),
  )
  return (await Promise.all(narinfos)).map((text) => new RegExp(/^URL: (.*)$/m.exec(text)?.[1] ?? 'nothing'))
}
