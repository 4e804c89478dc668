// The main job, from a build to a user of the cache.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { everyNix } from '../support/nix-versions.mjs'
import { HOOK, makeSite } from './site.ts'

describe.each(await everyNix())('with $name', (version) => {
  test('what the hook queued is signed, uploaded and can be substituted', { timeout: 60_000 }, async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const { nix } = site
    const key = await nix.keyPair('cache.example-1')
    const other = await nix.keyPair('other.example-1')

    const library = { name: 'library', content: 'a library' }
    const app = { name: 'app', deps: [library], outputs: ['out', 'dev'] }
    const built = await nix.build(app, { hook: HOOK, hookEnv: site.env })
    const queued = site.names('new').map((name) => name.replace(/^\d{8}T\d{6}Z-[0-9a-f]{12}-/, ''))
    expect(queued.sort()).toEqual(['app.json', 'library.json'])

    const drained = await site.run(['drain', '--secret-key-file', key.secretKeyFile])
    expect(drained).toMatchObject({ exitCode: 0, stdout: '' })
    expect(drained.stderr).toMatch(/nix-upload: 2 done$/)
    expect(site.counts()).toEqual({ new: 0, cur: 0, done: 2, failed: 0 })
    expect(site.roots()).toEqual([])

    const closure = await nix.run('nix-store', ['--query', '--requisites', ...built.outPaths])
    const paths = closure.stdout.split('\n')
    expect(paths).toHaveLength(3)
    for (const path of paths) {
      const narinfo = site.narinfo(path)
      expect(narinfo).toMatch(/^Compression: zstd$/m)
      expect(narinfo).toMatch(/^Sig: cache\.example-1:/m)
    }

    const trusting = await nix.substituteFrom(`file://${site.cache}`, built.outPaths, key.publicKey)
    expect(trusting.exitCode, trusting.stderr).toBe(0)
    for (const path of paths) {
      expect(await readFile(trusting.realFile(path), 'utf8')).toBe(await readFile(path, 'utf8'))
    }

    const distrusting = await nix.substituteFrom(`file://${site.cache}`, built.outPaths, other.publicKey)
    expect(distrusting.exitCode).not.toBe(0)
    expect(distrusting.stderr).toMatch(/sign/)
  })

  test('what is built into another store is not queued, and Nix says so', { timeout: 60_000 }, async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const into = ['--store', `local?root=${site.nix.dir}/chroot`, '--no-out-link']
    // A build in there sees nothing of this machine that it isn't given.
    const args = [...into, '--option', 'sandbox-paths', '/bin /lib /lib64 /usr']
    const hookEnv = { ...site.env, NIX_STORE_DIR: '/nix/store' }
    const { stderr } = await site.nix.build({ name: 'elsewhere' }, { hook: HOOK, hookEnv, args })
    expect(stderr).toMatch(
      /nix-upload: not queued: \S+-elsewhere\.drv: not in the local store, so built into/,
    )
    expect(site.counts()).toEqual({ new: 0, cur: 0, done: 0, failed: 0 })
    expect(site.roots()).toEqual([])
  })

  test('what Nix signed as it built it keeps that signature, beside ours', { timeout: 60_000 }, async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const { nix } = site
    const [byNix, ours] = [await nix.keyPair('builder.example-1'), await nix.keyPair('cache.example-1')]
    const conf = join(nix.confDir, 'nix.conf')
    const before = await readFile(conf, 'utf8')
    const buildSigned = async (name: string) => {
      await writeFile(conf, `${before}secret-key-files = ${byNix.secretKeyFile}\n`)
      const [path = ''] = (await nix.build({ name }, { hook: HOOK, hookEnv: site.env })).outPaths
      // Nix trusts the keys that it signs with.
      await writeFile(conf, before)
      return path
    }
    const trusts = async (path: string, { publicKey }: { publicKey: string }) =>
      (await nix.substituteFrom(`file://${site.cache}`, [path], publicKey)).exitCode === 0

    const first = await buildSigned('one')
    expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
    expect([await trusts(first, byNix), await trusts(first, ours)]).toEqual([true, false])
    const second = await buildSigned('two')
    expect(await site.run(['drain', '--secret-key-file', ours.secretKeyFile])).toMatchObject({ exitCode: 0 })
    expect([await trusts(second, byNix), await trusts(second, ours)]).toEqual([true, true])
  })

  test('a job that names a derivation only brings all of its outputs', { timeout: 60_000 }, async () => {
    const site = await makeSite(version)
    await site.makeSpool()
    const built = await site.nix.build({ name: 'app', outputs: ['out', 'dev'] })
    await site.handOver('by-hand', JSON.stringify({ drvPath: built.drvPath }))
    expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
    expect(site.names('done')).toEqual(['by-hand'])
    expect(built.outPaths.map((path) => site.isCached(path))).toEqual([true, true])
  })
})
