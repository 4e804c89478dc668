// Signatures that hold: on the whole closure, whatever stood at the destination before, and reported where they don't.
// Caches over http and S3 are in test/cache/resign.test.ts.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeSite, type Site } from '../integration/site.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { startNginx } from '../support/servers/nginx.ts'
import { deliveries, versions } from './bed.ts'

const narinfoOf = (path: string) => `${basename(path).slice(0, 32)}.narinfo`

/** The paths of which the cache has a narinfo with a signature of ours. */
const signedIn = (cache: string, paths: string[]) =>
  paths.filter((path) => /^Sig: ours-1:/m.test(readFileSync(join(cache, narinfoOf(path)), 'utf8')))

/** A library that somebody uploaded before, without a signature, and an app that needs it. */
async function siteWithUnsigned(version: (typeof versions)[number], to: (site: Site) => Promise<string>) {
  const site = await makeSite(version)
  await site.makeSpool()
  const url = await to(site)
  const library = { name: 'library' }
  const { outPaths: dependency } = await site.nix.build(library)
  const copied = await site.nix.run('nix', ['copy', '--to', url, ...dependency])
  expect(copied).toMatchObject({ exitCode: 0 })
  const { outPaths } = await site.nix.build({ name: 'app', deps: [library] })
  const { secretKeyFile } = await site.nix.keyPair('ours-1')
  const drain = async (more: string) => {
    const text = `[[destination]]\nto = "${url}"\nsecret-key-file = "${secretKeyFile}"\nmax-attempts = 1\nvia = "nix"\n${more}`
    return (await site.run(['drain', ...(await site.configured(text))])).exitCode
  }
  return { site, drain, app: outPaths, closure: [...dependency, ...outPaths] }
}

async function moody(): Promise<MoodyCache> {
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  return cache
}

describe.each(versions)('with $name', (version) => {
  test.each(['file://', 'nginx'])('verify signs what stood there unsigned: %s', async (kind) => {
    let root = ''
    const { site, drain, app, closure } = await siteWithUnsigned(version, async ({ cache }) => {
      root = cache
      if (kind === 'file://') return `file://${cache}`
      const nginx = await startNginx()
      onTestFinished(() => nginx.stop())
      root = nginx.root
      return nginx.url
    })
    await site.enqueue(app)
    expect(await drain('')).toBe(0)
    // What is there is there, says Nix.
    expect(signedIn(root, closure)).toEqual(app)
    await site.run(['requeue', ...site.names('done')])
    expect(await drain('verify = true\n')).toBe(0)
    expect(signedIn(root, closure)).toEqual(closure)
  })

  test('verify signs it with the key of the URL, too', async () => {
    const { site, app, closure } = await siteWithUnsigned(version, async ({ cache }) => `file://${cache}`)
    const { secretKeyFile } = await site.nix.keyPair('ours-1')
    await site.enqueue(app)
    const to = `file://${site.cache}?secret-key=${secretKeyFile}`
    const config = await site.configured(`[[destination]]\nto = "${to}"\nvia = "nix"\nverify = true\n`)
    expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
    expect(signedIn(site.cache, closure)).toEqual(closure)
  })

  test('verify reports what the server will not have signed, and what it lost', async () => {
    const cache = await moody()
    const { site, drain, app, closure } = await siteWithUnsigned(version, async () => cache.url)
    const [library = ''] = closure
    await site.enqueue(app)
    const refused = { method: 'PUT' as const, path: new RegExp(narinfoOf(library)) }
    /** What the job fails for; the destination is well. */
    const reason = async () => {
      expect(await drain('verify = true\n')).toBe(1)
      const [{ error } = {}] = await deliveries(site, 'failed')
      await site.run(['requeue', '--all'])
      return error
    }

    cache.behave({ status: 403 }, refused)
    expect(await reason()).toMatch(/does not take our signature on .*-library: .*HTTP error 403/)
    // It says that it took the narinfo, and keeps the old one.
    cache.calm()
    cache.behave({ status: 201 }, refused)
    expect(await reason()).toMatch(
      /does not take our signature on .*-library: what stands there does not change/,
    )
    await rm(join(cache.dir, narinfoOf(library)))
    expect(await reason()).toContain(library)

    cache.calm()
    expect(await drain('verify = true\n')).toBe(0)
    expect(signedIn(cache.dir, closure)).toEqual(closure)
    expect(site.counts()).toEqual({ new: 0, cur: 0, done: 1, failed: 0 })
  })

  test('a cache that was wiped gets all of it again, from the same daemon', async () => {
    const cache = await moody()
    const { site, app, closure } = await siteWithUnsigned(version, async () => cache.url)
    const daemon = await site.watch(['--to', cache.url])
    await site.enqueue(app)
    await site.settle('done', 1)
    for (const name of readdirSync(cache.dir)) await rm(join(cache.dir, name), { recursive: true })
    await site.run(['requeue', ...site.names('done')])
    await site.settle('done', 1)
    expect(closure.map((path) => site.isCached(path, cache.dir))).toEqual([true, true])
    expect(existsSync(join(cache.dir, 'nix-cache-info'))).toBe(true)
    expect(await daemon.stop()).toBe(0)
  })
})
