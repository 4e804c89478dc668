// What another store of Nix's is asked, and given beside paths: what it lacks, signatures and logs, with every Nix.

import { readdirSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { judge } from '../../src/nix/blame.ts'
import { copy, copyLog, missingAt, refuseIgnoredParameters } from '../../src/nix/copy.ts'
import { NixFailure } from '../../src/nix/failure.ts'
import { unsignedAt } from '../../src/nix/path-info.ts'
import { signAt, untrustedAt } from '../../src/nix/verify.ts'
import { everyNix } from '../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../support/private-nix.ts'
import { withEnvironment } from '../support/servers/failing-copy.ts'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'

const signal = new AbortController().signal

describe.each(await everyNix())('with $name', (version) => {
  let nix: PrivateNix
  let http: MoodyCache
  beforeAll(async () => {
    nix = await makePrivateNix(version, { name: 'other-store' })
    http = await startMoodyCache()
    return async () => {
      await http.cleanup()
      await nix.cleanup()
    }
  })

  const stores = () => [
    { to: http.url, silenceMs: 30_000 },
    { to: `local?root=${join(nix.dir, 'second')}&require-sigs=false`, silenceMs: 30_000 },
    { to: `file://${join(nix.dir, 'cache')}`, silenceMs: 30_000 },
  ]

  test('all keys of a binary cache sign, or it is said that this Nix would ignore some', async () => {
    const { outPaths } = await nix.build({ name: 'twice' })
    const [path = ''] = outPaths
    const [one, two] = [await nix.keyPair('one-1'), await nix.keyPair('two-1')]
    const root = join(nix.dir, 'signed-cache')
    const to = (query: string) => ({ to: `file://${root}?${query}`, silenceMs: 30_000 })
    const signers = async () => {
      const text = await readFile(join(root, `${basename(path).slice(0, 32)}.narinfo`), 'utf8')
      await rm(root, { recursive: true })
      return [...text.matchAll(/^Sig: (.*?):/gm)].map(([, name]) => name).sort()
    }
    await withEnvironment(nix.env, async () => {
      const alone = to(`secret-keys=${one.secretKeyFile}`)
      await refuseIgnoredParameters(alone, path, signal)
      await copy(alone, [path], true, signal)
      expect(await signers()).toEqual(['one-1'])

      const both = { ...to(`secret-key=${one.secretKeyFile}`), secretKeyFile: two.secretKeyFile }
      const said = await refuseIgnoredParameters(both, path, signal).catch(String)
      const isKnown = said === undefined
      if (isKnown) await copy(both, [path], true, signal)
      else expect(said).toContain(`the Nix here doesn't know the parameter "secret-keys" in the URL`)
      if (isKnown) expect(await signers()).toEqual(['one-1', 'two-1'])
      if (version.version.startsWith('2.8.')) expect(isKnown).toBe(false)
      if (version.version.startsWith('2.34.')) expect(isKnown).toBe(true)

      const file = join(nix.dir, 'both')
      await writeFile(
        file,
        `${await readFile(one.secretKeyFile, 'utf8')}\n${await readFile(two.secretKeyFile, 'utf8')}`,
      )
      const together = copy({ ...to(''), secretKeyFile: file }, [path], true, signal)
      await expect(together).rejects.toThrow('has several keys, and Nix, which writes to this destination')
    })
  })

  test('who signed what is there, without a sentence of Nix’s', async () => {
    const [signed = '', bare = ''] = await Promise.all(
      ['signed', 'bare'].map(async (name) => (await nix.build({ name })).outPaths[0] ?? ''),
    )
    const lacking = bare.replace(/[^/]*$/, `${'0'.repeat(32)}-lacking`)
    const [ours, other] = [await nix.keyPair('ours-1'), await nix.keyPair('other-1')]
    await withEnvironment(nix.env, async () => {
      for (const store of stores()) {
        const untrusted = (paths: string[], publicKey: string) =>
          untrustedAt(store, paths, publicKey, false, signal)
        await copy(store, [signed, bare], true, signal)
        expect((await unsignedAt(store, [signed, bare], signal)).sort()).toEqual([signed, bare].sort())
        await signAt(store, ours.secretKeyFile, [signed], signal)
        expect(await unsignedAt(store, [signed, bare], signal)).toEqual([bare])
        expect(await untrusted([signed, bare], ours.publicKey)).toEqual([bare])
        expect(await untrusted([signed], ours.publicKey)).toEqual([])
        expect(await untrusted([signed], other.publicKey)).toEqual([signed])
        expect(await missingAt(store, [signed, lacking], signal)).toEqual(new Set([lacking]))
        const failure = await untrusted([signed, lacking], ours.publicKey).catch((error: unknown) => error)
        if (!(failure instanceof NixFailure)) throw failure
        expect(judge(failure.messages)).toMatchObject({ blame: 'job', path: lacking })
      }
    })
  })

  test('a log goes along, and one that is not there is no failure', async () => {
    const command = 'echo a line of the log; echo out > $out'
    const { drvPath } = await nix.build(
      `derivation { name = "logged"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "${command}" ]; }`,
    )
    const cache = { to: `file://${join(nix.dir, 'cache')}`, silenceMs: 30_000 }
    await withEnvironment(nix.env, async () => {
      await copyLog(cache, drvPath, signal)
      expect(readdirSync(join(nix.dir, 'cache/log'))).toEqual([drvPath.replace(/.*\//, '')])
      await rm(nix.env.NIX_LOG_DIR ?? '', { recursive: true })
      await rm(join(nix.dir, 'cache/log'), { recursive: true })
      await copyLog(cache, drvPath, signal)
      expect(readdirSync(join(nix.dir, 'cache'))).not.toContain('log')
    })
  })
})
