// A cache over a network is filled within what the machine gives.

import { expect, onTestFinished, test } from 'vitest'
import { versions } from '../delivery/bed.ts'
import { makeSite, NIX_UPLOAD } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'

const version = versions.at(-1) ?? expect.unreachable('there is a Nix')

test.each(['zstd', 'xz'])(
  '128 file handles are enough for 200 paths over http: compression=%s',
  async (how) => {
    const site = await makeSite(version)
    await site.makeSpool()
    const cache = await startMoodyCache()
    onTestFinished(() => cache.cleanup())
    cache.behave({ delayMs: 30 })
    await site.enqueue(await site.paths(200))
    const config = await site.configured(`[[destination]]\nto = "${cache.url}?compression=${how}"\n`)
    const args = ['--nofile=128:128', NIX_UPLOAD, 'drain', ...config]
    const { exitCode, stderr } = await site.nix.run('prlimit', args, { env: site.env })
    expect(exitCode, stderr).toBe(0)
    expect(site.counts()).toMatchObject({ done: 200 })
  },
)
