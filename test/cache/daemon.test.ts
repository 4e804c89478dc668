// A cache as the daemon writes it: what is in the way, what a signal changes, what an older version left.

import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { DEBUG, deliveries, logLines, versions } from '../delivery/bed.ts'
import { makeSite, type Site } from '../integration/site.ts'
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

describe.each(versions)('with $name', (version) => {
  test('a bad path among good ones is found, and the good ones arrive', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const cache = await moody()
    const paths = await site.paths(20)
    const [bad = ''] = paths
    await site.enqueue(paths)
    // Whole, as Nix checks it, but nobody may read it.
    await site.nix.run('sh', ['-c', 'rm -f "$1"; mkfifo "$1"', 'sh', bad])
    const config = await site.configured(`[[destination]]\nto = "${cache.url}"\n`)
    expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 1 })
    expect(site.counts()).toMatchObject({ done: 19, failed: 1 })
    const [{ error } = {}] = await deliveries(site, 'failed')
    expect(error).toContain(bad)
  })
})

describe.each(versions.slice(-1))('with $name', (version) => {
  test('an old configuration starts, and says what became of its keys; the old stage goes', async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const cache = await moody()
    const left = join(site.spool, 'stage', '0123456789ab-pool-x', 'cache')
    await mkdir(left, { recursive: true })
    const toml = `stage = "/elsewhere"\nstage-size = "1G"\n[[destination]]\nto = "${cache.url}"\nvia = "stage"\ncheck-contents = false\n`
    const paths = await site.paths(1)
    await site.enqueue(paths)
    const { exitCode, stderr } = await site.run(['drain', ...(await site.configured(toml))])
    expect(exitCode).toBe(0)
    const said = logLines(stderr.split('\n')).map(({ msg }) => String(msg))
    for (const key of ['"stage"', '"stage-size"', '"check-contents"', '"via = "stage""'])
      expect(said).toContainEqual(expect.stringContaining(`${key} has no effect`))
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
    expect(logged(/takes a restart/)).toMatchObject([{ changed: ['rescan-interval'] }])
    expect(await watch.stop()).toBe(0)
  })
})
