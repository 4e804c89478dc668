// Requests that we sign ourselves. Whether the signatures are right, a real S3 says (s3-transport.test.ts).

import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { S3Requests } from '../../../src/transport/s3/s3-request.ts'
import { parseS3Url } from '../../../src/transport/s3/s3-url.ts'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { failureOf, MIB, never, put, putText, sha256, stream } from '../bed.ts'
import { type Answering, type Asked, type FakeServer, fakeServer } from '../fake-server.ts'
import { ANYBODY, environmentOf, errorXml, withTransport } from './s3-bed.ts'

const UNSIGNED = 'UNSIGNED-PAYLOAD'

const good: Answering = (_, response) => void response.writeHead(200, { etag: '"x"' }).end()

/** The headers that the last request was signed for. */
function signed(server: FakeServer): string[] {
  const { authorization = '' } = server.asked.at(-1)?.headers ?? {}
  return /SignedHeaders=([^,]+),/.exec(authorization)?.[1]?.split(';') ?? []
}

const urlOf = (server: FakeServer, query = '') =>
  `s3://cache/below?region=eu-west-1&endpoint=${server.url}${query}`

test('each request is signed, for its region, with its content', async () => {
  const server = await fakeServer(good)
  await withTransport(urlOf(server), ANYBODY, async (transport) => {
    await putText(transport, 'x.narinfo', 'StorePath: x')
    const { url, headers } = server.asked[0] ?? {}
    expect(url).toBe('/cache/below/x.narinfo')
    expect(headers?.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=KEY\/\d{8}\/eu-west-1\/s3\/aws4_request, /,
    )
    expect(headers?.['x-amz-content-sha256']).toBe(sha256(Buffer.from('StorePath: x')))
    expect(signed(server)).toEqual(expect.arrayContaining(['host', 'x-amz-content-sha256', 'x-amz-date']))
    await put(transport, 'large', Buffer.alloc(3 * MIB, 1))
    // It goes in pieces, and is in memory all the same.
    expect(server.asked[1]?.headers['x-amz-content-sha256']).toBe(sha256(Buffer.alloc(3 * MIB, 1)))
    await put(transport, 'stream', { ...stream(1000), atMost: 1000 })
    expect(server.asked[2]?.headers).toMatchObject({
      'x-amz-content-sha256': UNSIGNED,
      'content-length': '1000',
    })
  })
})

test('a storage class and a session token are signed along', async () => {
  const server = await fakeServer(good)
  await withTransport(urlOf(server, '&storage-class=STANDARD_IA'), ANYBODY, (transport) =>
    putText(transport, 'x'),
  )
  expect(signed(server)).toContain('x-amz-storage-class')
  await withEnvironment({ ...environmentOf(ANYBODY), AWS_SESSION_TOKEN: 'TOKEN' }, async () => {
    const requests = new S3Requests(parseS3Url(urlOf(server)))
    await requests.send({ method: 'GET', name: 'x' }, 'GET x', never)
    requests.close()
  })
  expect(signed(server)).toContain('x-amz-security-token')
})

test.each([
  ['nar/a+b=c d.nar', '/cache/below/nar/a%2Bb%3Dc%20d.nar'],
  ["log/!'()*~_-.drv", '/cache/below/log/%21%27%28%29%2A~_-.drv'],
  ['ü%2F?#&', '/cache/below/%C3%BC%252F%3F%23%26'],
])('the name %s is escaped as the signature has it', async (name, path) => {
  const server = await fakeServer(good)
  await withTransport(urlOf(server), ANYBODY, (transport) => transport.get(name, never))
  expect(server.asked[0]?.url).toBe(path)
})

/** Where a request goes that a proxy is to pass on. */
async function goesTo(store: string): Promise<[string, string | undefined]> {
  const server = await fakeServer(good)
  const env = { ...environmentOf(ANYBODY), http_proxy: server.url, no_proxy: '' }
  await withEnvironment(env, async () => {
    const requests = new S3Requests(parseS3Url(store))
    await requests.send({ method: 'GET', name: 'a', query: { uploads: '', b: '/' } }, 'GET a', never)
    requests.close()
  })
  const [{ url, headers } = { url: '', headers: {} }] = server.asked
  return [url, headers.host]
}

test.each([
  ['s3://cache/p?scheme=http&region=eu-west-1', 'http://cache.s3.eu-west-1.amazonaws.com/p/a'],
  ['s3://a.b?scheme=http', 'http://s3.us-east-1.amazonaws.com/a.b/a'],
  ['s3://cache?endpoint=http://s3.invalid/of/it/', 'http://s3.invalid/of/it/cache/a'],
  ['s3://cache?endpoint=http://s3.invalid:81&addressing-style=virtual', 'http://cache.s3.invalid:81/a'],
])('%s is at %s', async (store, url) => {
  expect(await goesTo(store)).toEqual([`${url}?b=%2F&uploads=`, new URL(url).host])
})

test('credentials are read anew after they were refused, and not before', async () => {
  const users: (string | undefined)[] = []
  const server = await fakeServer(({ headers }: Asked, response) => {
    const user = /Credential=(\w+)/.exec(headers.authorization ?? '')?.[1]
    users.push(user)
    if (user === 'NEW' || users.length === 1) response.writeHead(200).end()
    else response.writeHead(403).end(errorXml('InvalidAccessKeyId'))
  })
  await withTransport(urlOf(server), ANYBODY, async (transport) => {
    await transport.get('a', never)
    process.env.AWS_ACCESS_KEY_ID = 'NEW'
    expect((await failureOf(transport.get('b', never))).verdict.message).toMatch(
      /does not know our access key/,
    )
    await transport.get('c', never)
  })
  expect(users).toEqual(['KEY', 'KEY', 'NEW'])
})

test('a bucket that wants digests, as one with Object Lock does, is given them once it has said so', async () => {
  const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('base64')
  const server = await fakeServer(({ method, url, headers, body }, response) => {
    if (method === 'PUT' && headers['content-md5'] !== md5(body))
      response
        .writeHead(400)
        .end(errorXml('InvalidRequest', 'Content-MD5 OR x-amz-checksum- HTTP header is required'))
    else if (url.includes('uploads=')) response.end('<UploadId>1</UploadId>')
    else if (method === 'POST') response.end('<CompleteMultipartUploadResult/>')
    else response.writeHead(200, { etag: '"x"' }).end()
  })
  await withTransport(urlOf(server), ANYBODY, async (transport) => {
    await putText(transport, 'x')
    expect(server.asked).toHaveLength(2)
    await putText(transport, 'y')
    expect(server.asked).toHaveLength(3)
    expect(signed(server)).toContain('content-md5')
    await put(transport, 'small stream', { ...stream(1000), atMost: 1000 })
    const { sent } = await put(transport, 'large stream', { ...stream(11 * MIB), atMost: 11 * MIB })
    expect(sent).toBe(11 * MIB)
    expect(server.asked.filter(({ url }) => url.includes('partNumber='))).toHaveLength(3)
  })
})

test('what S3 calls invalid with a digest too is tried no more', async () => {
  const server = await fakeServer(
    (_, response) => void response.writeHead(400).end(errorXml('InvalidRequest')),
  )
  await withTransport(urlOf(server), ANYBODY, async (transport) => {
    await failureOf(putText(transport, 'x'))
    expect(server.asked).toHaveLength(2)
  })
})
