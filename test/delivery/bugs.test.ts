// A bug of ours that shows at one destination: the others go on, the log has its stack, and the daemon lives. The programs have no
// such bug, so one is put in when they start.

import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { logLines } from './bed.ts'

const compiled = (file: string) => JSON.stringify(new URL(`../../dist/${file}`, import.meta.url).href)

/** Statements that replace `method`, while `isBad` says so. */
const inClass = (file: string, name: string, method: string) => `
  const { ${name} } = await import(${compiled(file)})
  const { ${method}: good } = ${name}.prototype
  ${name}.prototype.${method} = function (...all) { isBad() && undefined.onPurpose; return good.apply(this, all) }`

/** Only the bad destination uses gzip. */
const IN_THREAD = `
  const { default: zlib } = await import('node:zlib')
  const { createGzip: good } = zlib
  const value = (...all) => { isBad() && undefined.onPurpose; return good(...all) }
  Object.defineProperty(zlib, 'createGzip', { value })
  ;(await import('node:module')).default.syncBuiltinESMExports()`

test.each([
  ['while it asks', inClass('transport/http/http-transport.js', 'HttpTransport', 'get')],
  ['while it uploads', inClass('transport/http/http-transport.js', 'HttpTransport', 'put')],
  ['while it reads an answer', inClass('transport/http/answer.js', 'BoundedBody', 'add')],
  ['in a thread that packs', IN_THREAD],
])('a bug %s', { timeout: 60_000 }, async (_, statements) => {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  const [bug, isThere] = [join(site.nix.dir, 'bug.mjs'), join(site.nix.dir, 'bug-is-there')]
  const isBad = `const isBad = () => fs.existsSync(${JSON.stringify(isThere)})`
  await writeFile(bug, `import * as fs from 'node:fs'\n${isBad}\n${statements}\n`)
  await writeFile(isThere, '')
  const config = await site.configured(`
    [[destination]]
    name = "good"
    to = "file://${site.cache}"
    [[destination]]
    name = "bad"
    to = "${cache.url}?compression=gzip"
    retry-min = "100ms"
    retry-max = "200ms"
  `)
  const { outPaths } = await site.nix.build({ name: 'large', sizeBytes: 5_000_000 })
  const paths = [...outPaths, ...(await site.paths(3))]
  await site.enqueue(paths)
  const daemon = site.start(['watch', ...config], [], { NODE_OPTIONS: `--import=${pathToFileURL(bug).href}` })

  await until(() => paths.every((path) => site.isCached(path)), 'all paths at the other destination')
  const bugs = () => logLines(daemon.log).filter(({ msg }) => /a bug in nix-upload/.test(String(msg)))
  await until(() => bugs().length > 2, 'a few attempts')
  for (const line of bugs()) {
    expect(line).toMatchObject({
      destination: 'bad',
      err: { stack: expect.stringMatching(/onPurpose.*\n +at /s) },
    })
  }
  // Jobs that come later go through, too.
  const [later = ''] = await site.paths(1)
  await site.enqueue([later])
  await until(() => site.isCached(later), 'a later path at the other destination')
  expect(site.counts().failed).toBe(0)
  // A small path, which the bug doesn't concern, may have come through a moment ago.
  const status = async () => (await site.run(['status', ...config])).stdout
  await expect
    .poll(status, { timeout: 20_000 })
    .toMatch(/bad .*down.*nix-upload has a bug, please report it/s)

  await rm(isThere)
  await site.settle('done', paths.length + 1)
  expect(paths.filter((path) => !site.isCached(path, cache.dir))).toEqual([])
  expect(await daemon.stop()).toBe(0)
})
