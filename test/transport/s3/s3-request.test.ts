// Small requests that we sign and send ourselves, once the SDK has made one: they are, and fail, as the SDK's.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeAll, expect, test } from 'vitest'
import type { Transport } from '../../../src/transport/transport.ts'
import { failureOf, never, putText, quickFlow } from '../../cache/bed.ts'
import { type MoodyCache, startMoodyCache } from '../../support/servers/moody-cache.ts'
import { withTransport } from './s3-bed.ts'

const USER = { accessKeyId: 'KEY', secretAccessKey: 'SECRET' }

let cache: MoodyCache

beforeAll(async () => {
  cache = await startMoodyCache()
  await mkdir(join(cache.dir, 'cache/below'), { recursive: true })
  await writeFile(join(cache.dir, 'cache/below/nix-cache-info'), 'StoreDir: /nix/store\n')
  return () => cache.cleanup()
})

afterEach(() => cache.calm())

const url = (query = '') => `s3://cache/below?region=eu-west-1&endpoint=${cache.url}${query}`

/** Does something with a transport whose first request is behind it. */
const warm = <T>(use: (transport: Transport) => Promise<T>, query = '') =>
  withTransport(
    url(query),
    USER,
    async (transport) => {
      expect(await transport.get('nix-cache-info', never)).toBe('StoreDir: /nix/store\n')
      return await use(transport)
    },
    { flow: quickFlow({ attempts: 1, patienceMs: 100 }) },
  )

/** What the last request was signed for: by the SDK itself, more than by us. */
function signedHeaders(): string[] {
  const [, region, names = ''] =
    /\/\d{8}\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+),/.exec(
      cache.seen.at(-1)?.authorization ?? '',
    ) ?? []
  expect(region).toBe('eu-west-1')
  return names.split(';').filter((name) => name.startsWith('amz-sdk') || name.startsWith('x-amz'))
}

test('all but the first go without what the SDK adds', async () => {
  await warm(async (transport) => {
    expect(signedHeaders()).toContain('amz-sdk-request')
    await putText(transport, 'x.narinfo', 'StorePath: ü')
    expect(signedHeaders()).toEqual(['x-amz-content-sha256', 'x-amz-date'])
    expect(cache.seen.at(-1)).toMatchObject({
      path: '/cache/below/x.narinfo',
      contentType: 'text/x-nix-narinfo',
    })
    expect(await transport.get('x.narinfo', never)).toBe('StorePath: ü')
    expect(signedHeaders()).toEqual(['x-amz-content-sha256', 'x-amz-date'])
  })
})

test('a storage class and a session token are signed along', async () => {
  await warm(async (transport) => {
    await putText(transport, 'x.narinfo')
    expect(signedHeaders()).toEqual(['x-amz-content-sha256', 'x-amz-date', 'x-amz-storage-class'])
  }, '&storage-class=STANDARD_IA')
  await withTransport(url(), USER, async (transport) => {
    process.env.AWS_SESSION_TOKEN = 'TOKEN'
    await transport.get('nix-cache-info', never)
    await putText(transport, 'x.narinfo')
    expect(signedHeaders()).toEqual(['x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'])
  })
})

test('a name that a URL has to escape is left to the SDK', async () => {
  await warm(async (transport) => {
    await putText(transport, 'log/a+b=c.drv', 'log')
    expect(signedHeaders()).toContain('amz-sdk-request')
  })
})

const answer = (code: string, message: string) =>
  `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`

test.each([
  [301, answer('PermanentRedirect', 'elsewhere'), { 'x-amz-bucket-region': 'eu-central-1' }],
  [400, answer('ExpiredToken', ''), {}],
  [400, answer('EntityTooLarge', 'a &lt;b&gt; &amp; &quot;c&quot;'), {}],
  [403, answer('SignatureDoesNotMatch', ''), {}],
  [403, answer('RequestTimeTooSkewed', ''), {}],
  [403, answer('SomethingElse', 'why'), {}],
  [404, answer('NoSuchBucket', ''), {}],
  [404, '<html><title>Nothing here</title></html>', {}],
  [404, '', {}],
  [405, answer('MethodNotAllowed', ''), {}],
  [500, answer('InternalError', ''), {}],
  [503, answer('SlowDown', 'less'), { 'retry-after': '1' }],
  [502, '<html>Bad gateway</html>', {}],
])('%i %s means what it means to the first', async (status, body, headers) => {
  const refuse = () =>
    cache.behave({ status, body, headers: { 'content-type': 'application/xml', ...headers } })
  const once = { flow: quickFlow({ attempts: 1, patienceMs: 100 }) }
  for (const act of [
    (transport: Transport) => transport.get('y.narinfo', never),
    (transport: Transport) => putText(transport, 'y.narinfo'),
  ]) {
    refuse()
    const first = await withTransport(url(), USER, (transport) => failureOf(act(transport)), once)
    cache.calm()
    const later = await warm((transport) => {
      refuse()
      return failureOf(act(transport))
    })
    cache.calm()
    expect(later.verdict).toEqual(first.verdict)
    expect(later.isOfOneFile).toBe(first.isOfOneFile)
  }
})

test('after a word about our clock the SDK is asked again, which learns from that how far it is off', async () => {
  await warm(async (transport) => {
    const headers = { date: new Date(Date.now() + 3600_000).toUTCString() }
    cache.behave({ status: 403, body: answer('RequestTimeTooSkewed', ''), headers })
    expect((await failureOf(putText(transport, 'x.narinfo'))).verdict.message).toMatch(/clock/)
    cache.calm()
    await putText(transport, 'x.narinfo')
    expect(signedHeaders()).toContain('amz-sdk-request')
  })
})

test('what is not there is not there, and what may not be seen either', async () => {
  await warm(async (transport) => {
    for (const [status, code] of [
      [404, 'NoSuchKey'],
      [403, 'AccessDenied'],
    ] as const) {
      cache.behave({ status, body: answer(code, '') })
      expect(await transport.get('z.narinfo', never)).toBeUndefined()
    }
  })
})
