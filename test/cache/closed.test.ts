// Whoever reads a cache while it is being filled, and wherever the uploads are killed: it is whole.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { parseNarInfo } from '../../src/cache/narinfo.ts'
import { versions } from '../delivery/bed.ts'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { IS_WHOLE } from '../proof/share.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { layersOf } from './layers.ts'

const KILLS = IS_WHOLE ? 20 : 6
const LAYERS = 6
const EACH = 8

/** What narinfos tell of that isn't there. Read after the narinfo, so that nothing is in vain. */
function holesIn(cache: string): string[] {
  const narinfos = readdirSync(cache).filter((name) => name.endsWith('.narinfo'))
  return narinfos.flatMap((name) => {
    const info = parseNarInfo(readFileSync(join(cache, name), 'utf8'))
    if (!info) return [`${name} is no narinfo`]
    const references = info.references.map((reference) => `${reference.slice(0, 32)}.narinfo`)
    return [info.url, ...references].filter((file) => !existsSync(join(cache, file)))
  })
}

test(`a cache is whole at every instant, while who fills it is killed ${KILLS} times`, async ({
  annotate,
}) => {
  const version = versions.at(-1) ?? expect.unreachable('there is a Nix')
  const site = await makeSite(version)
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  // Half of the archives, and half of the narinfos, take long: what is sent too early is there before what it needs.
  cache.behave({ delayMs: 250 }, { method: 'PUT', path: /^\/nar\/.[0-9a-g]/ })
  cache.behave({ delayMs: 80 }, { method: 'PUT', path: /^\/[0-9a-g]\w*\.narinfo$/ })
  cache.behave({ delayMs: 5 })
  const { secretKeyFile, publicKey } = await site.nix.keyPair('ours-1')
  const { outPaths } = await site.nix.build(layersOf(LAYERS, EACH))
  const closure = (await site.nix.run('nix-store', ['-qR', ...outPaths])).stdout.split('\n').filter(Boolean)
  await site.enqueue(outPaths)
  const to = `[[destination]]\nto = "${cache.url}"\nsecret-key-file = "${secretKeyFile}"\n`
  const config = await site.configured(to)

  let isOver = false
  let looks = 0
  const holes: string[] = []
  const looking = (async () => {
    for (; !isOver; looks++) {
      holes.push(...holesIn(cache.dir))
      await sleep(10)
    }
  })()
  // Somebody who substitutes whatever is there, with all that it needs.
  const failed: string[] = []
  let substituted = 0
  const reading = (async () => {
    while (!isOver) {
      const there = closure.filter((path) => site.isCached(path, cache.dir))
      const path = there[Math.floor(Math.random() * there.length)]
      if (path === undefined) await sleep(10)
      else {
        const result = await site.nix.substituteFrom(cache.url, [path], publicKey)
        if (result.exitCode === 0) substituted++
        else failed.push(result.stderr)
      }
    }
  })()

  let kills = 0
  for (; kills < KILLS; kills++) {
    // Archives go first, many at a time: by turns it is killed among narinfos, and among whatever goes out.
    const what = kills % 2 === 0 ? /\.narinfo$/ : /^/
    const puts = cache.count('PUT', what)
    const most = 1 + Math.floor(Math.random() * ((1.8 * closure.length) / KILLS))
    const drain = site.start(['drain', ...config])
    await Promise.race([
      drain.exited,
      until(() => cache.count('PUT', what) >= puts + most, `${most} uploads`),
    ])
    drain.killWithChildren()
    await drain.exited
  }
  expect(site.counts()).toMatchObject({ done: 0, failed: 0 })
  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
  isOver = true
  await Promise.all([looking, reading])
  await annotate(`${kills} kills, ${looks} looks, ${substituted} substitutions while it was filled`)
  expect(holes).toEqual([])
  expect(failed).toEqual([])
  expect(substituted).toBeGreaterThan(0)
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: outPaths.length, failed: 0 })
  expect(closure.filter((path) => !site.isCached(path, cache.dir))).toEqual([])
  expect((await site.nix.substituteFrom(cache.url, outPaths, publicKey)).exitCode).toBe(0)
})
