// One stage for several destinations: each path is packed once, and none of them holds up another.

import { describe, expect, test } from 'vitest'
import { versions } from '../bed.ts'
import { anotherCache, makeBed } from './route-bed.ts'

const newest = versions.slice(-1)

describe.each(versions)('with Nix $version', (version) => {
  test('what two destinations want at the same time is packed once', async () => {
    const bed = await makeBed(version)
    const other = await anotherCache()
    const stage = bed.makeStage()
    const paths = await bed.nix.addAllToStore(
      Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`path-${at}`, `${at}`])),
    )
    const [one, two] = [bed.route({ name: 'one', stage }), bed.route({ name: 'two', stage }, other)]
    await Promise.all([one.send(paths), two.send(paths)])
    expect(bed.copies()).toEqual([20])
    expect([bed.cached(paths), bed.cached(paths, other)]).toEqual([paths, paths])
    expect(bed.staged()).toEqual([])
  })

  test('what comes later to the second is taken from the stage, and what differs in its key is not', async () => {
    const bed = await makeBed(version)
    const [other, third] = [await anotherCache(), await anotherCache()]
    const stage = bed.makeStage()
    const { secretKeyFile } = await bed.nix.keyPair('third-1')
    const [path = ''] = (await bed.nix.build({ name: 'app' })).outPaths
    const one = bed.route({ name: 'one', stage })
    const two = bed.route({ name: 'two', stage }, other)
    const signed = bed.route({ name: 'third', stage, secretKeyFile }, third)
    await one.send([path])
    expect(bed.staged()).toEqual([expect.stringMatching(/\.nar\.zst$/)])
    await two.send([path])
    expect(bed.copies()).toEqual([1])
    expect(bed.staged()).toEqual([])
    await signed.send([path])
    expect(bed.copies()).toEqual([1])
    expect(bed.narinfo(path, third)).toContain('Sig: third-1:')
    expect(bed.narinfo(path, other)).not.toContain('Sig:')
  })
})

describe.each(newest)('with Nix $version', (version) => {
  const large = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ name: `large-${at}`, sizeBytes: 1_000_000 }))

  test('a destination that is down goes without, and takes nothing away from the other', async () => {
    const bed = await makeBed(version)
    const other = await anotherCache()
    await other.stop()
    const stage = bed.makeStage(2_500_000)
    const [up, down] = [bed.route({ name: 'up', stage }), bed.route({ name: 'down', stage }, other)]
    for (const each of large(5)) {
      const { outPaths } = await bed.nix.build(each)
      await expect(down.send(outPaths)).rejects.toThrow('connection')
      await up.send(outPaths)
      expect(bed.cached(outPaths)).toEqual(outPaths)
      expect(stage.budget.bytes).toBeLessThan(2_500_000)
    }
    // Some of it was swept meanwhile, and is packed again.
    await other.start()
    const all = await bed.nix.run('sh', ['-c', 'ls -d "$NIX_STORE_DIR"/*-large-?'])
    const paths = all.stdout.split('\n').filter(Boolean)
    await down.send(paths)
    expect(bed.cached(paths, other)).toEqual(paths)
  })

  test('a batch is cut to what fits, and one path that is larger goes by itself', async () => {
    const bed = await makeBed(version)
    const stage = bed.makeStage(2_200_000)
    const paths: string[] = []
    for (const each of [...large(5), { name: 'huge', sizeBytes: 5_000_000 }]) {
      paths.push(...(await bed.nix.build(each)).outPaths)
    }
    let most = 0
    const watching = setInterval(() => {
      most = Math.max(most, stage.budget.bytes)
    }, 1)
    await bed.route({ stage, chunkBytes: 2_200_000 }).send(paths)
    clearInterval(watching)
    expect(bed.copies().sort()).toEqual([1, 1, 2, 2])
    expect(most).toBeLessThan(5_100_000)
    expect(bed.cached(paths)).toEqual(paths)
  })

  test('who wants more than there is room for waits until another one is through', async () => {
    const bed = await makeBed(version)
    const other = await anotherCache()
    const stage = bed.makeStage(2_200_000)
    const [[first = ''], [second = '']] = (await Promise.all(
      ['first', 'second'].map(async (name) => (await bed.nix.build({ name, sizeBytes: 2_000_000 })).outPaths),
    )) as [string[], string[]]
    bed.cache.behave({ stallAfter: 1000 }, { method: 'PUT', path: /^\/nar\// })
    const abort = new AbortController()
    const stalled = bed.route({ name: 'one', stage }).send([first], [], abort.signal)
    await expect.poll(() => bed.cache.count('PUT', /^\/nar\//)).toBe(1)
    const waiting = bed
      .route({ name: 'two', stage, to: `${other.url}?compression=none` }, other)
      .send([second])
    await expect.poll(() => other.count('GET')).toBe(2)
    expect(other.count('PUT', /^\/nar\//)).toBe(0)
    abort.abort()
    await expect(stalled).rejects.toMatchObject({ ended: 'aborted' })
    await waiting
    expect(bed.cached([second], other)).toEqual([second])
  })
})
