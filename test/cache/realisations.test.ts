// Realisations at a binary cache, which may have some already, or not take them.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, GetObjectCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { parseRealisation, signed, textOf } from '../../src/cache/realisation.ts'
import { SecretKey } from '../../src/nix/secret-key.ts'
import {
  buildHooked,
  drain,
  makeCaSite,
  nixesWithFloatingOutputs,
  notesOf,
  realisationsIn,
  TOOL,
} from '../delivery/ca-bed.ts'
import type { NixVersion } from '../support/nix-versions.mjs'
import { must } from '../support/run.ts'
import { startRadosgw } from '../support/servers/radosgw.ts'
import { clientOf, environmentOf } from '../transport/s3/s3-bed.ts'
import { anotherCache } from './writer-bed.ts'

const HASH = '0'.repeat(32)
const KEY = keyNamed('ours-1')

function keyNamed(name: string): SecretKey {
  const key = SecretKey.parse(`${name}:${Buffer.alloc(64, 7).toString('base64')}`)
  if (!key) throw new Error('no key')
  return key
}

const QUICK = 'retry-min = "100ms"\nretry-max = "200ms"\nmax-attempts = 1\n'
const REALISATION = /\.doi$/

const newest = (await nixesWithFloatingOutputs()).slice(-1)

/** A cache over http, a machine with what was just built for it, and how to deliver that, again and again. */
async function bed(version: NixVersion) {
  const [site, cache] = [await makeCaSite(version), await anotherCache()]
  const { secretKeyFile } = await site.nix.keyPair('ours-1')
  await buildHooked(site, TOOL)
  const config = await site.configured(
    `[[destination]]\n${QUICK}to = "${cache.url}"\nsecret-key-file = "${secretKeyFile}"\nverify = true`,
  )
  const deliver = async (exitCode = 0) => {
    const drained = await site.run(['drain', ...config])
    expect(drained, drained.stderr).toMatchObject({ exitCode })
    return drained.stderr
  }
  const again = async () => must(await site.run(['requeue', ...site.names('done')]), 'requeue')
  return { site, cache, deliver, again }
}

/** What Nix writes of the same output, before 2.35 and since, and what the signature covers. */
const FORMS = [
  {
    name: 'realisations/sha256:00!out.doi',
    text: `{"dependentRealisations":{"sha256:11!out":"${HASH}-library"},"id":"sha256:00!out","outPath":"${HASH}-app","signatures":[]}`,
    signed: `{"dependentRealisations":{"sha256:11!out":"${HASH}-library"},"id":"sha256:00!out","outPath":"${HASH}-app"}`,
  },
  {
    name: `build-trace-v2/${HASH}-app.drv/out.doi`,
    text: `{"outPath":"${HASH}-app","signatures":[]}`,
    signed: `{"key":{"drvPath":"${HASH}-app.drv","outputName":"out"},"value":{"outPath":"${HASH}-app"}}`,
  },
]

describe.each(FORMS)('$name', ({ name, text, signed: covered }) => {
  test('is written as it was read, and signed over all that it says', () => {
    const read = parseRealisation(name, text)
    if (!read) throw new Error('it was not read')
    expect(textOf(read)).toBe(text)
    const own = signed(read, [KEY])
    expect(own.signatures).toEqual([KEY.sign(covered)])
    expect(parseRealisation(name, textOf(own))).toEqual(own)
    expect(signed(own, [KEY])).toEqual(own)
  })

  test.each(['', '{', '[]', '<html>', '{"outPath":"../../etc"}'])('is none where it says %j', (other) => {
    expect(parseRealisation(name, other)).toBeUndefined()
  })
})

describe.each(newest)('a cache, with $name,', (version) => {
  test('is sent each realisation once, with the type that Nix gives it, and keeps the signatures of others', async () => {
    const { cache, deliver, again } = await bed(version)
    await deliver()
    const sent = cache.seen.filter(({ method, path }) => method === 'PUT' && REALISATION.test(path))
    expect(sent).toHaveLength(1)
    expect(new Set(sent.map(({ contentType }) => contentType))).toEqual(new Set(['application/json']))
    const puts = cache.seen.filter(({ method }) => method === 'PUT').map(({ path }) => path)
    const lastNarinfo = puts.findLastIndex((path) => path.endsWith('.narinfo'))
    expect(puts.findIndex((path) => REALISATION.test(path))).toBeGreaterThan(lastNarinfo)
    cache.calm()
    await again()
    await deliver()
    expect(cache.count('PUT', REALISATION)).toBe(0)
    expect(cache.count('GET', REALISATION)).toBe(1)

    // Signed by others meanwhile.
    const [[name = '', text = ''] = []] = await realisationsIn(cache.dir)
    const theirs = text.includes('keyName') ? [{ keyName: 'theirs-1', sig: 'AAAA' }] : ['theirs-1:AAAA']
    const value: unknown = JSON.parse(text)
    await writeFile(join(cache.dir, name), JSON.stringify(Object.assign({}, value, { signatures: theirs })))
    await again()
    await deliver()
    const after = await readFile(join(cache.dir, name), 'utf8')
    expect(after).toMatch(/theirs-1/)
    expect(after).toMatch(/ours-1/)
  })

  test('keeps what another build came to, as long as it has that', async () => {
    const { cache, deliver, again } = await bed(version)
    await deliver()
    const [[name = '', text = ''] = []] = await realisationsIn(cache.dir)
    const other = text.replace(/"outPath":".{32}/, `"outPath":"${'0'.repeat(32)}`)
    await writeFile(join(cache.dir, name), other)
    await writeFile(join(cache.dir, `${'0'.repeat(32)}.narinfo`), '')
    await again()
    expect(await deliver()).toMatch(
      /the cache has another output of the same derivation, 0{32}-\S+, and keeps it/,
    )
    expect(await readFile(join(cache.dir, name), 'utf8')).toBe(other)

    await cache.cleanup()
    await cache.start()
    await again()
    await deliver()
    expect(await readFile(join(cache.dir, name), 'utf8')).toBe(text)
  })

  test('that refuses one fails its job, by name, and no others', async () => {
    const { site, cache, deliver } = await bed(version)
    await site.hook(await site.paths(1, 'ordinary'))
    cache.behave({ status: 403 }, { method: 'PUT', path: REALISATION })
    await deliver(1)
    expect(site.names('done')).toEqual([expect.stringContaining('ordinary')])
    const [job = ''] = site.names('failed')
    expect((await site.delivery('failed', job)).error).toMatch(
      /refuses \S+-tool; the server says to PUT \S+\.doi: 403/,
    )
  })

  test('that answers with a page has no realisation, and the job waits', async () => {
    const { cache, deliver } = await bed(version)
    cache.behave({ status: 200, body: '<html>Welcome' }, { method: 'GET', path: REALISATION })
    expect(await deliver(75)).toMatch(/refuses \S+; to \S+\.doi it answers with/)
  })
})

test.each(newest)(
  'a bucket has them by the names that $name looks for',
  { timeout: 60_000 },
  async (version) => {
    const s3 = await startRadosgw()
    try {
      const alice = clientOf(s3.endpoint, s3.alice)
      await alice.send(new CreateBucketCommand({ Bucket: 'realisations' }))
      const site = await makeCaSite(version)
      await buildHooked(site)
      const to = `s3://realisations?region=eu-west-1&endpoint=${s3.endpoint}`
      await drain(
        site,
        `name = "s3"\nto = "${to}"\n[[destination]]\nname = "beside"\nto = "file://${site.cache}"`,
        {
          ...environmentOf(s3.alice),
        },
      )
      expect([...(await notesOf(site, 's3')), ...(await notesOf(site, 'beside'))]).toEqual([])
      const files = await realisationsIn(site.cache)
      expect(files.size).toBeGreaterThan(3)
      for (const [Key, text] of files) {
        const { Body } = await alice.send(new GetObjectCommand({ Bucket: 'realisations', Key }))
        expect(await Body?.transformToString()).toBe(text)
      }
    } finally {
      await s3.stop()
    }
  },
)
