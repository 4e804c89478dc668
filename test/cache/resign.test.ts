// Narinfos that somebody else put there: signed where they are ours in all but the signature, and never otherwise.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { versions } from '../delivery/bed.ts'
import { must } from '../support/run.ts'
import { makeBed, narinfoOf } from './writer-bed.ts'

/** A cache that has a closure, put there by a Nix without a key, or with another one. */
async function bedWithOld(version: (typeof versions)[number], query = '') {
  const bed = await makeBed(version)
  const { outPaths } = await bed.nix.build({ name: 'app', deps: [{ name: 'library' }] })
  const [library = '', app = ''] = await bed.closure(outPaths)
  must(await bed.nix.run('nix', ['copy', '--to', `file://${bed.cache.dir}${query}`, app]), 'put it there')
  const ours = await bed.nix.keyPair('ours-1')
  const alter = (path: string, pattern: RegExp, by: string) =>
    writeFile(join(bed.cache.dir, narinfoOf(path)), bed.narinfo(path).replace(pattern, by))
  return { bed, library, app, ...ours, alter }
}

describe.each(versions)('with $name', (version) => {
  test('what stood there unsigned is signed in its place, without its archive', async () => {
    const { bed, library, app, secretKeyFile, publicKey } = await bedWithOld(version)
    bed.cache.calm()
    await bed.writer({ secretKeyFile }).send([app])
    expect(bed.narinfo(library)).toContain('Sig: ours-1:')
    expect(bed.cache.count('PUT', /^\/nar\//)).toBe(0)
    must(await bed.nix.substituteFrom(bed.cache.url, [app], publicKey), 'substitute it back')
  })

  test('what differs is never signed: with verify that is a failure, without it is said', async () => {
    const { bed, library, app, secretKeyFile, alter } = await bedWithOld(version)
    await alter(library, /^NarSize: .*$/m, 'NarSize: 4711')
    const writer = bed.writer({ secretKeyFile })
    await writer.send([app])
    const why = 'what stands there is not what was built here'
    expect(writer.warnings).toEqual([
      `${library}: a path that was there before stays without our signature: ${why}`,
    ])
    const failures = await bed.writer({ secretKeyFile, verify: true }).send([app])
    const failure = { verdict: { blame: 'job', message: expect.stringMatching(`${library}: ${why}`) } }
    // And with it what refers to it.
    expect([failures.get(library), failures.get(app)]).toMatchObject([failure, failure])
    expect(bed.narinfo(library)).not.toContain('Sig:')
    expect(bed.narinfo(app)).toContain('Sig: ours-1:')
  })
})

describe.each(versions.slice(-1))('with $name', (version) => {
  test("a signature of somebody else's is enough without verify, and gets ours beside it with verify", async () => {
    const { bed, library, app, secretKeyFile, alter } = await bedWithOld(version)
    const theirs = 'Sig: theirs-1:AAAA'
    await alter(library, /$/, `${theirs}\n`)
    await bed.writer({ secretKeyFile }).send([app])
    expect(bed.narinfo(library)).not.toContain('ours-1')
    await bed.writer({ secretKeyFile, verify: true }).send([app])
    expect(bed.narinfo(library)).toContain(theirs)
    expect(bed.narinfo(library)).toContain('Sig: ours-1:')
  })

  test('a signature by the name of ours that does not hold is none', async () => {
    const { bed, library, app, secretKeyFile, publicKey, alter } = await bedWithOld(version)
    await alter(library, /$/, `Sig: ours-1:${Buffer.alloc(64).toString('base64')}\n`)
    await bed.writer({ secretKeyFile, verify: true }).send([app])
    must(await bed.nix.substituteFrom(bed.cache.url, [app], publicKey), 'substitute it back')
  })

  test('a server that refuses the new narinfo, or does not keep it, is said to', async () => {
    const { bed, app, secretKeyFile } = await bedWithOld(version)
    bed.cache.behave({ status: 409 }, { method: 'PUT', path: /narinfo$/ })
    const writer = bed.writer({ secretKeyFile, verify: true })
    expect([...(await writer.send([app])).values()].join()).toMatch(/does not take our signature on .*409/)
    bed.cache.calm()
    bed.cache.behave({ status: 204 }, { method: 'PUT', path: /narinfo$/ })
    expect([...(await writer.send([app])).values()].join()).toMatch(/what stands there does not change/)
  })
})

test('two writers with different keys at the same time: with verify, the later one keeps the signature of the other', async () => {
  const version = versions.at(-1) ?? expect.unreachable('there is a Nix')
  const bed = await makeBed(version)
  const { outPaths } = await bed.nix.build({ name: 'app', deps: [{ name: 'library' }] })
  const [one, other] = [await bed.nix.keyPair('one-1'), await bed.nix.keyPair('other-1')]
  // The later one has found nothing there, and its archives take longer.
  bed.cache.behave({ delayMs: 1500 }, { method: 'PUT', path: /\.br$/ })
  const later = { secretKeyFile: other.secretKeyFile, verify: true, to: `${bed.cache.url}?compression=br` }
  const sent = bed.writer(later).send(outPaths)
  await expect.poll(() => bed.cache.count('PUT', /\.br$/)).toBe(2)
  await bed.writer({ secretKeyFile: one.secretKeyFile }).send(outPaths)
  expect(await sent).toEqual(new Map())
  for (const { publicKey } of [one, other])
    must(await bed.nix.substituteFrom(bed.cache.url, outPaths, publicKey), 'substitute it back')
  for (const path of await bed.closure(outPaths))
    expect(bed.narinfo(path)).toMatch(/br\n.*Sig: one-1:.*Sig: other-1:/s)
})
