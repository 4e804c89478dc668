// What is written into a cache, from the first request to a substitution back.

import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { versions } from '../delivery/bed.ts'
import { must } from '../support/run.ts'
import { anotherCache, makeBed, narinfoOf } from './writer-bed.ts'

const app = { name: 'app', deps: [{ name: 'library', deps: [{ name: 'base' }] }] }

/** The files of a cache and what is in them. */
function filesIn(cache: string): Map<string, string> {
  const names = readdirSync(cache, { recursive: true, encoding: 'utf8' })
  const files = names.filter((name) => statSync(join(cache, name)).isFile()).sort()
  return new Map(files.map((name) => [name, readFileSync(join(cache, name), 'latin1')]))
}

describe.each(versions)('with $name', (version) => {
  test('a closure arrives whole and signed, and can be substituted back by who trusts the key', async () => {
    const bed = await makeBed(version)
    const { secretKeyFile, publicKey } = await bed.nix.keyPair('ours-1')
    const { outPaths } = await bed.nix.build(app)
    const writer = bed.writer({ secretKeyFile })
    expect(await writer.send(outPaths)).toEqual(new Map())

    const closure = await bed.closure(outPaths)
    expect(closure).toHaveLength(3)
    expect(bed.cached(closure)).toEqual(closure)
    must(await bed.nix.substituteFrom(bed.cache.url, outPaths, publicKey), 'substitute it back')
    // As many bytes went out as were expected to.
    const sent = bed.cache.seen.reduce((sum, { bytes }) => sum + bytes, 0)
    const info = bed.cache.seen.find(({ method, path }) => method === 'PUT' && path === '/nix-cache-info')
    expect(writer.progress).toEqual({
      sentBytes: sent - (info?.bytes ?? 0),
      expectedBytes: writer.progress.sentBytes,
    })
  })

  test('a large path goes as a stream under the hash of its NAR, and can be substituted back', async () => {
    const bed = await makeBed(version)
    const { outPaths } = await bed.nix.build({ name: 'large', sizeBytes: 20_000_000 })
    const { secretKeyFile, publicKey } = await bed.nix.keyPair('ours-1')
    await bed.writer({ secretKeyFile }).send(outPaths)
    const text = bed.narinfo(outPaths[0] ?? '')
    const [, hash] = /^NarHash: sha256:(\w+)$/m.exec(text) ?? []
    expect(bed.archives()).toEqual([expect.stringMatching(`^${hash}-[0-9a-f]{8}\\.nar\\.zst$`)])
    must(await bed.nix.substituteFrom(bed.cache.url, outPaths, publicKey), 'substitute it back')
  })

  test('all files are as Nix itself writes them', async () => {
    const bed = await makeBed(version)
    const { secretKeyFile } = await bed.nix.keyPair('ours-1')
    const { outPaths } = await bed.nix.build(app)
    const theirs = join(bed.nix.dir, 'theirs')
    const query = `compression=none&write-nar-listing=1&secret-key=${secretKeyFile}`
    must(await bed.nix.run('nix', ['copy', '--to', `file://${theirs}?${query}`, ...outPaths]), 'copy')
    const to = `file://${join(bed.nix.dir, 'ours')}?compression=none&write-nar-listing=1`
    await bed.writer({ to, secretKeyFile }).send(outPaths)
    const [own, others] = [filesIn(join(bed.nix.dir, 'ours')), filesIn(theirs)]
    expect([...own.keys()]).toEqual([...others.keys()])
    expect(own.size).toBe(3 * 3 + 1)
    for (const [name, text] of own) {
      if (name.endsWith('.ls')) expect(listing(text), name).toEqual(listing(others.get(name) ?? ''))
      else expect(text, name).toBe(others.get(name))
    }
  })

  test('derivations and logs go along where they are asked for', async () => {
    const bed = await makeBed(version)
    const { outPaths, drvPath } = await bed.nix.build({ name: 'app', deps: [{ name: 'library' }] })
    await bed.writer({ derivations: true, logs: true }).send(outPaths, [drvPath])
    const closure = await bed.closure([...outPaths, drvPath])
    expect(bed.cached(closure)).toEqual(closure)
    expect(closure.filter((path) => path.endsWith('.drv'))).toHaveLength(2)
    expect(existsSync(join(bed.cache.dir, 'log', basename(drvPath)))).toBe(true)
  })
})

/** Nix 2.8.0 has the keys of a listing in another order, and from 2.35 on it says of a file that it is not executable. */
function listing(text: string): unknown {
  return JSON.parse(text, (key, value: unknown) =>
    key === 'executable' && value === false ? undefined : value,
  )
}

describe.each(versions.slice(-1))('with $name', (version) => {
  test('files have the content types that Nix gives them', async () => {
    const bed = await makeBed(version)
    const { outPaths } = await bed.nix.build(app)
    const theirs = await anotherCache()
    const query = 'compression=none&write-nar-listing=1'
    must(await bed.nix.run('nix', ['copy', '--to', `${theirs.url}?${query}`, ...outPaths]), 'copy')
    await bed.writer({ to: `${bed.cache.url}?${query}` }).send(outPaths)
    const typesAt = ({ seen }: typeof theirs) =>
      Object.fromEntries(
        seen.filter(({ method }) => method === 'PUT').map(({ path, contentType }) => [path, contentType]),
      )
    expect(typesAt(bed.cache)).toEqual(typesAt(theirs))
    expect(Object.keys(typesAt(theirs))).toHaveLength(3 * 3 + 1)
  })

  test.each(['none', 'zstd'])(
    'of a path that differs in its last byte, no complete archive arrives: compression=%s',
    async (compression) => {
      const bed = await makeBed(version)
      const { outPaths } = await bed.nix.build({ name: 'large', sizeBytes: 6_000_000 })
      const [path = ''] = outPaths
      await bed.damage(path, 'truncate -s -1 "$1"; printf x >> "$1"')
      const failures = await bed.writer({ to: `${bed.cache.url}?compression=${compression}` }).send(outPaths)
      expect(failures.get(path)?.verdict).toMatchObject({ blame: 'job', permanent: true })
      expect(bed.archives().filter((name) => !name.endsWith('.partial'))).toEqual([])
      expect(bed.cached(outPaths)).toEqual([])
    },
  )

  test('with the rest remembered, a new path over an old closure takes five requests; without, one sweep', async () => {
    const bed = await makeBed(version)
    const deps = Array.from({ length: 30 }, (_, at) => ({ name: `library-${at}` }))
    const old = await bed.nix.build({ name: 'old', deps })
    const writer = bed.writer()
    await writer.send(old.outPaths)
    const one = await bed.nix.build({ name: 'one', deps })
    bed.cache.calm()
    await writer.send(one.outPaths)
    const requests = bed.cache.seen.map(
      ({ method, path }) => `${method} ${path.replace(/^\/nar\/.*/, 'NAR')}`,
    )
    expect(requests).toEqual([
      'GET /nix-cache-info',
      expect.stringMatching(/^GET .*narinfo/),
      'PUT NAR',
      expect.stringMatching(/^PUT .*narinfo/),
      'GET /nix-cache-info',
    ])

    const two = await bed.nix.build({ name: 'two', deps })
    bed.cache.calm()
    await bed.writer().send(two.outPaths)
    expect([bed.cache.count('GET', /narinfo/), bed.cache.count('PUT')]).toEqual([31, 2])
  })

  test('an optional file that is refused fails nothing, and is said', async () => {
    const bed = await makeBed(version)
    const { outPaths, drvPath } = await bed.nix.build(app)
    bed.cache.behave({ status: 403 }, { method: 'PUT', path: /\.ls$|^\/log\// })
    const writer = bed.writer({ to: `${bed.cache.url}?write-nar-listing=1`, logs: true })
    expect(await writer.send(outPaths, [drvPath])).toEqual(new Map())
    expect(bed.cached(outPaths)).toEqual(outPaths)
    expect(writer.warnings).toHaveLength(4)
    expect(writer.warnings.join()).toMatch(/write-nar-listing=false.*logs = false/s)
  })

  test('what refers to a path that can not be sent fails too, though it is there itself', async () => {
    const bed = await makeBed(version)
    const { outPaths } = await bed.nix.build(app)
    const [base = '', library = '', top = ''] = await bed.closure(outPaths)
    await bed.writer().send(outPaths)
    rmSync(join(bed.cache.dir, narinfoOf(base)))
    await bed.damage(base, 'echo other > "$1"')
    const failures = await bed.writer().send(outPaths)
    expect([...failures.keys()].sort()).toEqual([base, library, top].sort())
  })

  test('every key of the file signs, and a key that was replaced is used at once', async () => {
    const bed = await makeBed(version)
    const [one, two] = [await bed.nix.keyPair('one-1'), await bed.nix.keyPair('two-1')]
    const paths = await bed.nix.addAllToStore({ a: 'a', b: 'b' })
    const [a = '', b = ''] = paths
    const secretKeyFile = join(bed.nix.dir, 'both')
    const both = [one, two].map((key) => readFileSync(key.secretKeyFile, 'utf8')).join('\n')
    writeFileSync(secretKeyFile, both)
    const writer = bed.writer({ secretKeyFile })
    await writer.send([a])
    expect(bed.narinfo(a)).toMatch(/^Sig: one-1:.*\nSig: two-1:/m)
    writeFileSync(secretKeyFile, readFileSync(two.secretKeyFile))
    await writer.send([b])
    expect(bed.narinfo(b).match(/^Sig: /gm)).toHaveLength(1)
    must(await bed.nix.substituteFrom(bed.cache.url, [b], two.publicKey), 'substitute it back')
  })
})
