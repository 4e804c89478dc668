// skip-upstream: what users of a cache have from elsewhere isn't uploaded.

import { describe, expect, test } from 'vitest'
import { Upstream } from '../../src/cache/upstream.ts'
import { HttpTransport } from '../../src/transport/http/http-transport.ts'
import { versions } from '../delivery/bed.ts'
import { must } from '../support/run.ts'
import { anotherCache, makeBed } from './writer-bed.ts'

const COUNT = 300
const silent = () => undefined
const asked = (url: string) => new Map([[url, new HttpTransport({ to: url, progressTimeoutMs: 10_000 })]])

describe.each(versions)('with $name', (version) => {
  test('of a path over 300 that the upstream cache signed, one is uploaded and nothing else asked for', async () => {
    const bed = await makeBed(version)
    const library = await bed.nix.addAllToStore(
      Object.fromEntries(Array.from({ length: COUNT }, (_, at) => [`library-${at}`, `${at}`])),
    )
    const upstream = await bed.nix.keyPair('cache.nixos.org-1')
    const sign = ['store', 'sign', '--key-file', upstream.secretKeyFile, ...library]
    must(await bed.nix.run('nix', sign), 'sign as the upstream cache does')
    const { outPaths } = await bed.nix.build({ name: 'app', deps: library })
    expect(await bed.closure(outPaths)).toHaveLength(COUNT + 1)
    await bed.writer({ upstream: new Upstream(['cache.nixos.org-1'], new Map(), 1e6, silent) }).send(outPaths)
    expect(bed.cached(library)).toEqual([])
    expect(bed.cached(outPaths)).toEqual(outPaths)
    expect(bed.cache.seen).toHaveLength(6)
  })

  test('an upstream cache that is asked is asked once, and only for what the destination lacks', async () => {
    const bed = await makeBed(version)
    const theirs = await anotherCache()
    const library = { name: 'library' }
    const own = { name: 'own' }
    const [theirPath = ''] = (await bed.nix.build(library)).outPaths
    must(
      await bed.nix.run('nix', ['copy', '--to', `file://${theirs.dir}`, theirPath]),
      'fill the upstream cache',
    )
    const upstream = new Upstream([], asked(theirs.url), 1e6, silent)
    const writer = bed.writer({ upstream })
    const { outPaths } = await bed.nix.build({ name: 'app', deps: [library, own] })
    await writer.send(outPaths)
    expect(bed.cached(await bed.closure(outPaths))).toHaveLength(2)
    expect(bed.cached([theirPath])).toEqual([])
    expect(theirs.seen).toHaveLength(3)
    const next = await bed.nix.build({ name: 'next', deps: [library, own] })
    await writer.send(next.outPaths)
    expect(theirs.seen).toHaveLength(4)
  })
})

test('an upstream cache that is down is said so once, and what it may have is uploaded', async () => {
  const version = versions.at(-1) ?? expect.unreachable('there is a Nix')
  const bed = await makeBed(version)
  const theirs = await anotherCache()
  await theirs.stop()
  const warnings: string[] = []
  const upstream = new Upstream([], asked(theirs.url), 1e6, (message) => warnings.push(message))
  const writer = bed.writer({ upstream })
  const paths = await bed.nix.addAllToStore({ a: 'a', b: 'b' })
  for (const path of paths) await writer.send([path])
  expect(bed.cached(paths)).toEqual(paths)
  expect(warnings).toEqual([expect.stringMatching(`^${theirs.url}, named by skip-upstream, can't be asked`)])
}, 120_000)
