// A pipe or a socket in the place of a store path: somebody put it there after the build. Only that job fails.

import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { everyNix } from '../support/nix-versions.mjs'
import { must } from '../support/run.ts'
import { makeSite } from './site.ts'

describe.each(await everyNix())('with $name', (version) => {
  test('a pipe and a socket as store paths: their jobs fail, the others are done', async () => {
    const site = await makeSite(version)
    const { nix } = site
    const [pipe = '', socket = '', well = ''] = await site.paths(3)
    await site.enqueue([pipe, socket, well])
    await Promise.all([pipe, socket].map((path) => rm(path)))
    must(await nix.run('mkfifo', [pipe]), 'make a pipe')
    // The name of a socket has to be short.
    const server = createServer().listen(join('/tmp', `odd-${process.pid}`))
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    must(await nix.run('mv', [join('/tmp', `odd-${process.pid}`), socket]), 'put the socket there')

    // A store of Nix's, a cache that Nix writes, and one that we write.
    const destinations = {
      store: `to = "local?root=${join(nix.dir, 'second')}&require-sigs=false"`,
      copied: `to = "file://${site.cache}-copied"\nvia = "nix"`,
      written: `to = "file://${site.cache}"`,
    }
    const sections = Object.entries(destinations).map(
      ([name, to]) => `[[destination]]\nname = "${name}"\n${to}\nmax-attempts = 1\n`,
    )
    const config = await site.configured(sections.join(''))
    const { stderr, exitCode } = await site.run(['drain', ...config], { timeout: 30_000 })
    expect(exitCode, stderr).toBe(1)
    expect(site.counts()).toEqual({ new: 0, cur: 0, done: 1, failed: 2 })
    for (const name of site.names('failed')) {
      for (const destination of Object.keys(destinations)) {
        const { error } = await site.delivery('failed', name, destination)
        expect(error).toMatch(/not what was built|a socket, a pipe or a device/)
      }
    }
    expect(JSON.stringify(await site.job('done', site.names('done')[0] ?? ''))).toContain(well)
  })
})
