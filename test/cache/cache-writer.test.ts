// Uploads by way of the stage, from the first request to a substitution back.

import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { versions } from '../delivery/bed.ts'
import { must } from '../support/run.ts'
import { makeBed } from './writer-bed.ts'

const app = { name: 'app', deps: [{ name: 'library', deps: [{ name: 'base' }] }] }

describe.each(versions)('with Nix $version', (version) => {
  test('a closure arrives whole and signed, and can be substituted back by who trusts the key', async () => {
    const bed = await makeBed(version)
    const { secretKeyFile, publicKey } = await bed.nix.keyPair('ours-1')
    const { outPaths } = await bed.nix.build(app)
    const route = bed.route({ secretKeyFile })
    await route.send(outPaths)

    const closure = await bed.closure(outPaths)
    expect(closure).toHaveLength(3)
    expect(bed.cached(closure)).toEqual(closure)
    must(await bed.nix.substituteFrom(bed.cache.url, outPaths, publicKey), 'substitute it back')
    // So many bytes went out as were to.
    const sent = bed.cache.seen.reduce((sum, { bytes }) => sum + bytes, 0)
    const info = bed.cache.seen.find(({ method, path }) => method === 'PUT' && path === '/nix-cache-info')
    expect(route.progress).toEqual({
      sentBytes: sent - (info?.bytes ?? 0),
      expectedBytes: route.progress.sentBytes,
    })
    // What was sent is of no more use here.
    expect(bed.staged()).toEqual([])
  })

  test('with the rest remembered, a new path over an old closure takes four requests; without, one sweep', async () => {
    const bed = await makeBed(version)
    const deps = Array.from({ length: 30 }, (_, at) => ({ name: `library-${at}` }))
    const old = await bed.nix.build({ name: 'old', deps })
    const route = bed.route()
    await route.send(old.outPaths)
    const one = await bed.nix.build({ name: 'one', deps })
    bed.cache.calm()
    await route.send(one.outPaths)
    expect(
      bed.cache.seen.map(({ method, path }) => `${method} ${path.replace(/^\/nar\/.*/, 'NAR')}`),
    ).toEqual([
      'GET /nix-cache-info',
      expect.stringMatching(/^GET .*narinfo/),
      'PUT NAR',
      expect.stringMatching(/^PUT .*narinfo/),
    ])

    const two = await bed.nix.build({ name: 'two', deps })
    bed.cache.calm()
    await bed.route().send(two.outPaths)
    expect([bed.cache.count('GET', /narinfo/), bed.cache.count('PUT')]).toEqual([31, 2])
    expect(bed.copies()).toEqual([31, 1, 1])
  })

  test('derivations and logs go along where they are asked for, and listings where the URL does', async () => {
    const bed = await makeBed(version)
    const { outPaths, drvPath } = await bed.nix.build({ name: 'app', deps: [{ name: 'library' }] })
    const to = `${bed.cache.url}?write-nar-listing=true`
    await bed.route({ to, derivations: true, logs: true }).send(outPaths, [drvPath])
    const closure = await bed.closure([...outPaths, drvPath])
    expect(bed.cached(closure)).toEqual(closure)
    expect(closure.filter((path) => path.endsWith('.drv'))).toHaveLength(2)
    expect(existsSync(join(bed.cache.dir, `${basename(outPaths[0] ?? '').slice(0, 32)}.ls`))).toBe(true)
    expect(existsSync(join(bed.cache.dir, 'log', basename(drvPath)))).toBe(true)
  })

  test('a path that Nix can not pack is the fault of the job that has it', async () => {
    const bed = await makeBed(version)
    const [good = '', gone = ''] = await bed.nix.addAllToStore({ good: 'good', gone: 'gone' })
    await bed.nix.run('sh', ['-c', 'rm -rf "$1"', 'sh', gone])
    await expect(bed.route().send([good, gone])).rejects.toMatchObject({
      messages: [expect.stringContaining(basename(gone))],
    })
  })
})
