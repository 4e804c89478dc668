// The stage as the daemon has it: where it lies, what is in the way, what a signal changes.

import { existsSync, readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DEBUG, deliveries, handOverAll, logLines, versions } from '../delivery/bed.ts'
import { makeSite, type Site } from '../integration/site.ts'
import { withFileSystem } from '../support/servers/failing-copy.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'

async function moody(): Promise<MoodyCache> {
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  return cache
}

const large = async (site: Site, count: number, sizeBytes: number) => {
  const built = []
  for (let at = 0; at < count; at++) built.push(await site.nix.build({ name: `large-${at}`, sizeBytes }))
  return built.flatMap(({ outPaths }) => outPaths)
}

describe.each(versions)('with Nix $version', (version) => {
  test('a bad path among good ones is found, and the good ones arrive', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const cache = await moody()
    const paths = await site.paths(20)
    const [bad = ''] = paths
    await site.enqueue(paths)
    // Whole, as Nix checks it, but nobody may read it.
    await site.nix.run('sh', ['-c', 'rm -f "$1"; mkfifo "$1"', 'sh', bad])
    const config = await site.configured(`[[destination]]\nto = "${cache.url}"\ncheck-contents = false\n`)
    expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 1 })
    expect(site.counts()).toMatchObject({ done: 19, failed: 1 })
    const [{ error } = {}] = await deliveries(site, 'failed')
    expect(error).toContain(bad)
  })

  test('a full disk in the stage costs no job an attempt, and what fits goes out', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const cache = await moody()
    const stage = join(site.nix.dir, 'small')
    await mkdir(stage)
    const paths = await large(site, 6, 1_500_000)
    const [huge = ''] = await large(site, 1, 12_000_000)
    await handOverAll(site, [[...paths]])
    const config = await site.configured(`stage = "${stage}"\n[[destination]]\nto = "${cache.url}"\n`)
    const drain = async () => {
      const running = site.start(['drain', ...config], withFileSystem(stage, 'size=8m'))
      return await running.exited
    }
    expect(await drain()).toBe(0)
    expect(paths.filter((path) => !site.isCached(path, cache.dir))).toEqual([])
    await handOverAll(site, [[huge]], 'huge')
    expect(await drain()).toBe(75)
    const [record] = await deliveries(site, 'new')
    expect(record).toMatchObject({ attempts: 0, error: expect.stringContaining(`no room in ${stage}`) })
    expect(record?.error).toMatch(/stage-size/)
  })
})

describe.each(versions.slice(-1))('with Nix $version', (version) => {
  test('the stage is emptied at the start, of what is its own', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const cache = await moody()
    const stage = join(site.nix.dir, 'elsewhere')
    const config = await site.configured(`stage = "${stage}"\n[[destination]]\nto = "${cache.url}"\n`)
    const [path = ''] = await site.paths(1)
    await site.enqueue([path])
    cache.behave({ stallAfter: 1 }, { method: 'PUT', path: /nar/ })
    const watch = await site.watch(config)
    await expect.poll(() => cache.count('PUT', /nar/)).toBe(1)
    watch.killWithChildren()
    await watch.exited
    expect(readdirSync(stage)).toHaveLength(1)
    await writeFile(join(stage, 'not-ours'), '')
    cache.calm()
    expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
    expect(readdirSync(stage)).toEqual(['not-ours'])
    expect(existsSync(join(site.spool, 'stage'))).toBe(false)
  })

  test('SIGHUP changes the limits under way and says what takes a restart; a mistake changes nothing', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const cache = await moody()
    const toml = (rate: string, more = '') =>
      `${more}${DEBUG}max-rate = "${rate}"\n[[destination]]\nto = "${cache.url}"\n`
    const config = await site.configured(toml('100K'))
    const [, file = ''] = config
    const paths = await large(site, 1, 30_000_000)
    await site.enqueue(paths)
    const watch = await site.watch(config)
    await expect.poll(() => cache.count('PUT', /nar/)).toBe(1)
    const logged = (msg: RegExp) => logLines(watch.log).filter((line) => msg.test(String(line.msg)))
    await writeFile(file, 'max-rate = "fast"\n')
    watch.kill('SIGHUP')
    await watch.says('all stays as it was')
    await writeFile(file, toml('1G', 'rescan-interval = "1m"\n'))
    watch.kill('SIGHUP')
    await site.settle('done', 1)
    expect(logged(/read again, and/)).toMatchObject([{ maxRate: 1e9 }])
    expect(logged(/takes a restart/)).toMatchObject([{ changed: ['rescanMs'] }])
    expect(await watch.stop()).toBe(0)
  })
})
