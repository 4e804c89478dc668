// A store that changes between two attempts: a path is collected as garbage and built again, with other content.

import { expect, onTestFinished, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { narinfoOf } from './writer-bed.ts'

/** Nothing protects the path from garbage collection. */
const NO_ROOTS = { NIX_UPLOAD_GCROOTS: '' }

test.each([
  ['nix-upload', ''],
  ['Nix', 'via = "nix"\n'],
])(
  'what was built again goes out as it is now, if %s writes the cache',
  { timeout: 60_000 },
  async (_, more) => {
    const site = await makeSite()
    await site.makeSpool()
    const cache = await startMoodyCache()
    onTestFinished(() => cache.cleanup())
    const random = `derivation {
    name = "random"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "read -r x < /proc/sys/kernel/random/uuid; echo $x > $out" ];
  }`
    const { outPaths } = await site.nix.build(random)
    const [path = ''] = outPaths
    const hash = async () => (await site.nix.run('nix-store', ['-q', '--hash', path])).stdout.trim()
    const before = await hash()
    cache.behave({ status: 403 }, { method: 'PUT', path: /narinfo$/ })
    await site.run(['enqueue', path], { env: NO_ROOTS })
    const retry = 'retry-min = "500ms"\nretry-max = "500ms"\n'
    const config = await site.configured(`[[destination]]\nto = "${cache.url}"\n${retry}${more}`)
    const daemon = site.start(['watch', ...config], [], NO_ROOTS)
    await until(() => daemon.log.some((line) => /is down/.test(line)), 'a first attempt')

    // At once, while what was known of it is remembered.
    await site.nix.run('nix-store', ['--delete', path])
    await site.nix.build(random)
    expect(await hash()).not.toBe(before)
    cache.calm()
    await site.settle('done', 1)
    expect(site.counts()).toMatchObject({ done: 1, failed: 0 })
    const asked = await fetch(`${cache.url}/${narinfoOf(path)}`)
    expect(await asked.text()).toContain(`NarHash: ${await hash()}\n`)
  },
)
