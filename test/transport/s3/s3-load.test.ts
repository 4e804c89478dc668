// How fast S3 is asked: fewer at a time where it wants that, no faster than a limit, and not for ever.

import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { RateLimit } from '../../../src/transport/rate-limit.ts'
import { digestOf, expectFailure, makeFile, put, putText, quickConcurrency } from '../bed.ts'
import { moodyS3, says } from './moody-s3.ts'
import { ANYBODY, withTransport } from './s3-bed.ts'

const { cache, dir, url } = await moodyS3()

describe('a storm of 503 SlowDown', () => {
  test('is sat out with fewer requests at a time, and no file is given up', async () => {
    const { headers, body } = says(503, 'SlowDown')
    cache.behave({ mostAtOnce: 4, delayMs: 5, headers, body })
    const requests = quickConcurrency()
    await withTransport(
      url(),
      ANYBODY,
      async (transport) => {
        const names = Array.from({ length: 200 }, (_, at) => `${at}.narinfo`)
        await Promise.all(names.map((name) => putText(transport, name)))
      },
      { requests },
    )
    expect(cache.seen.filter(({ status }) => status === 201)).toHaveLength(200)
    expect(cache.seen.filter(({ status }) => status === 503).length).toBeGreaterThan(0)
    expect(requests.window).toBeLessThan(10)
  })
})

test('a server that stalls is left alone after a while', async () => {
  cache.behave({ stallAfter: 100_000 })
  const { body } = await makeFile(join(dir, 'stalled'), 30_000_000)
  const options = { progressTimeoutMs: 300, requests: quickConcurrency({ attempts: 1 }) }
  await withTransport(
    url('&multipart-upload=false'),
    ANYBODY,
    async (transport) => {
      await expectFailure(put(transport, 'nar/x', body), { says: /nothing moved for/ })
      await expect.poll(() => cache.connections()).toBe(0)
    },
    options,
  )
})

test('a rate limit holds', async () => {
  const { body } = await makeFile(join(dir, 'limited'), 4_500_000)
  const began = performance.now()
  await withTransport(url(), ANYBODY, (transport) => put(transport, 'nar/x', body), {
    limits: [new RateLimit(3_000_000)],
  })
  expect(performance.now() - began).toBeGreaterThan(1_400)
  expect(await digestOf(join(cache.dir, 'cache/nar/x'))).toBe(await digestOf(body.file))
})
