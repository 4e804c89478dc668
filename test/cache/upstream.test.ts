// skip-upstream: what users of a cache have from elsewhere isn't uploaded.

import { describe, expect, test } from 'vitest'
import { Upstream } from '../../src/cache/upstream.ts'
import { createHttpTransport } from '../../src/transport/http/http-transport.ts'
import { versions } from '../delivery/bed.ts'
import { must } from '../support/run.ts'
import { anotherCache, makeBed } from './writer-bed.ts'

const COUNT = 300

describe.each(versions)('with Nix $version', (version) => {
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
    await bed.route({ upstream: new Upstream(['cache.nixos.org-1'], [], 1e6) }).send(outPaths)
    expect(bed.cached(library)).toEqual([])
    expect(bed.cached(outPaths)).toEqual(outPaths)
    expect(bed.copies()).toEqual([1])
    expect(bed.cache.seen).toHaveLength(5)
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
    const upstream = new Upstream(
      [],
      [createHttpTransport({ to: theirs.url, progressTimeoutMs: 10_000 })],
      1e6,
    )
    const route = bed.route({ upstream })
    const { outPaths } = await bed.nix.build({ name: 'app', deps: [library, own] })
    await route.send(outPaths)
    expect(bed.cached(await bed.closure(outPaths))).toHaveLength(2)
    expect(bed.cached([theirPath])).toEqual([])
    expect(theirs.seen).toHaveLength(3)
    const next = await bed.nix.build({ name: 'next', deps: [library, own] })
    await route.send(next.outPaths)
    expect(theirs.seen).toHaveLength(4)
  })
})
