// How an upload in parts begins and ends where S3 has its moods, or is none.

import { expect, test } from 'vitest'
import type { StreamBody } from '../../../src/transport/transport.ts'
import { digestOfBody, expectFailure, MIB, put, sha256, stream } from '../bed.ts'
import { type FakeParts, fakeParts } from './fake-parts.ts'
import { ANYBODY, errorXml, withTransport } from './s3-bed.ts'

const body = stream(12 * MIB)

const send = (server: FakeParts, sent: StreamBody = body) =>
  withTransport(`${server.s3}&multipart-chunk-size=5242880`, ANYBODY, (transport) =>
    put(transport, 'a', sent),
  )

async function expectStored(server: FakeParts): Promise<void> {
  expect(sha256(server.objects.get('a') ?? Buffer.alloc(0))).toBe(await digestOfBody(body))
  expect(server.open.size).toBe(0)
}

test.each([
  ['at once', ''],
  ['after white space, which kept the connection', ' \n'.repeat(3000)],
])('the end may be answered with 200 and an error, %s: it is made again', async (_, before) => {
  let ends = 0
  const server = await fakeParts((step, _asked, response) => {
    if (step !== 'end' || ends++ > 0) return false
    response.end(`${before}${errorXml('InternalError', 'We encountered an internal error')}`)
    return true
  })
  expect(await send(server)).toMatchObject({ sent: 12 * MIB })
  await expectStored(server)
  expect(ends).toBe(2)
})

test.each([
  ['nothing', ''],
  ['white space', ' \n'],
  ['a page', '<html>Welcome</html>'],
  ['an error in a namespace', '<Error xmlns="urn:x"><Code>InternalError</Code></Error>'],
])(
  'the end that is answered with 200 and %s is none: it is looked whether the file is there',
  async (_, answer) => {
    const server = await fakeParts((step, _asked, response) => {
      if (step === 'end') response.end(answer)
      return step === 'end'
    })
    const says = answer.includes('Error') ? /200 InternalError/ : /end PUT a: 200, without a result/
    await expectFailure(send(server), { says, isOfOneFile: true, isTrouble: true })
    expect(server.objects.size).toBe(0)
  },
)

test('an end that is answered with nothing at all is good if the file is there', async () => {
  const server: FakeParts = await fakeParts((step, _asked, response) => {
    if (step !== 'end') return false
    server.objects.set('a', Buffer.alloc(12 * MIB))
    response.end()
    return true
  })
  expect(await send(server)).toMatchObject({ sent: 12 * MIB })
  expect(server.steps.slice(-2)).toEqual(['end', 'look'])
})

test('an error that stays is one, and nothing is left', async () => {
  const server = await fakeParts((step, _asked, response) => {
    if (step === 'end') response.end(errorXml('InvalidPart', 'no'))
    return step === 'end'
  })
  await expectFailure(send(server), { says: /end PUT a.*200 InvalidPart \(no\)/, isOfOneFile: true })
  expect([server.open.size, server.objects.size]).toEqual([0, 0])
})

test('where the answer to the end was lost, it is looked whether it is there', async () => {
  let ends = 0
  const server: FakeParts = await fakeParts((step, { url }, response) => {
    if (step !== 'end' || ends++ > 0) return false
    const parts = server.open.get(new URL(url, 'http://s3').searchParams.get('uploadId') ?? '')
    server.objects.set(
      'a',
      Buffer.concat([...(parts ?? [])].sort(([a], [b]) => a - b).map(([, part]) => part)),
    )
    server.open.clear()
    response.destroy()
    return true
  })
  expect(await send(server)).toMatchObject({ sent: 12 * MIB })
  await expectStored(server)
  expect(server.steps.slice(-3)).toEqual(['end', 'end', 'look'])
})

test('and where something else is there, it failed', async () => {
  const server: FakeParts = await fakeParts((step, _asked, response) => {
    if (step !== 'end') return false
    server.objects.set('a', Buffer.from('of somebody else'))
    if (server.open.size > 0) response.destroy()
    server.open.clear()
    return response.destroyed
  })
  await expectFailure(send(server), { says: /forgotten an upload in parts.*NoSuchUpload/, isOfOneFile: true })
})

test.each([405, 501])(
  'a server that says %i to parts gets the whole, with its length, from then on',
  async (status) => {
    const server = await fakeParts((step, _asked, response) => {
      if (step === 'begin') response.writeHead(status).end(errorXml('NotImplemented'))
      return step === 'begin'
    })
    await withTransport(`${server.s3}&multipart-chunk-size=5242880`, ANYBODY, async (transport) => {
      for (const _ of [1, 2]) expect(await put(transport, 'a', body)).toMatchObject({ sent: 12 * MIB })
    })
    await expectStored(server)
    expect(server.steps).toEqual(['begin', 'whole', 'whole'])
    expect(server.asked[1]?.headers['content-length']).toBe(String(12 * MIB))
  },
)

test('what answers with no upload is no S3', async () => {
  const server = await fakeParts((step, _asked, response) => {
    if (step === 'begin') response.end('<html>Welcome</html>')
    return step === 'begin'
  })
  await expectFailure(send(server), { says: /no S3: check endpoint=.*without an UploadId/ })
  expect(server.steps).toEqual(['begin'])
})

test('parts may be turned off', async () => {
  const server = await fakeParts()
  const to = `${server.s3}&multipart-upload=false`
  await withTransport(to, ANYBODY, (transport) => put(transport, 'a', body))
  await expectStored(server)
  expect(server.steps).toEqual(['whole'])
})

test('the storage class is named when an upload begins', async () => {
  const server = await fakeParts()
  const to = `${server.s3}&multipart-chunk-size=5242880&storage-class=STANDARD_IA`
  await withTransport(to, ANYBODY, (transport) => put(transport, 'a', body))
  const classes = server.asked.map(({ headers }) => [headers['x-amz-storage-class'], headers['content-type']])
  expect(classes).toEqual([
    ['STANDARD_IA', 'x/y'],
    ...Array.from({ length: 4 }, () => [undefined, undefined]),
  ])
})
