// What is made of the answers to HEAD and to PUT, whoever gives them: a web server or S3.

import { describe, expect, test } from 'vitest'
import { failureOf, never, put, stream } from './bed.ts'
import { type Answering, fakeServer } from './fake-server.ts'
import { PLACES, status } from './places.ts'

const saidOf = async (action: Promise<unknown>) => (await failureOf(action)).verdict.message

describe.each(Object.entries(PLACES))('over %s', (kind, over) => {
  test.each<[string, Answering, { size: number | undefined } | undefined]>([
    ['200', status(200, { 'content-length': '1234' }), { size: 1234 }],
    ['200 of nothing', status(200, { 'content-length': '0' }), { size: 0 }],
    ['200 without a length', status(200, { 'transfer-encoding': 'chunked' }), { size: undefined }],
    ['404', status(404), undefined],
    ['403', status(403), undefined],
  ])('HEAD: %s', async (_, answer, expected) => {
    const server = await fakeServer(answer)
    expect(await over(server.url, (transport) => transport.head('nar/x', never))).toEqual(expected)
    expect(server.asked).toMatchObject([{ method: 'HEAD' }])
  })

  test.each([
    [401, /does not know us/],
    [503, /overloaded|fewer requests/],
    [500, /an internal problem/],
  ])('HEAD: %i is a failure', async (code, says) => {
    const server = await fakeServer(status(code, code === 503 ? { 'retry-after': '3600' } : {}))
    const asked = over(server.url, (transport) => transport.head('nar/x', never))
    expect(await saidOf(asked)).toMatch(says)
  })

  test('a PUT that is answered with a page all the same went through', async () => {
    const server = await fakeServer(status(200, {}, '<html>Thanks</html>'))
    expect(await over(server.url, (transport) => put(transport, 'a', Buffer.from('abc')))).toEqual({
      sent: 3,
      counts: [3],
    })
  })

  test('a file of nothing is a file', async () => {
    const server = await fakeServer(status(201))
    await over(server.url, (transport) => put(transport, 'a', Buffer.alloc(0)))
    await over(server.url, (transport) => put(transport, 'b', stream(0)))
    expect(server.asked.map(({ method, body }) => [method, body.length])).toEqual([
      ['PUT', 0],
      ['PUT', 0],
    ])
  })

  test('the words of a page are said, without the page', async () => {
    const server = await fakeServer(
      status(422, {}, '<html><title>Go\naway</title><body>please</body></html>'),
    )
    const message = await saidOf(over(server.url, (transport) => put(transport, 'a', Buffer.from('x'))))
    expect(message).toMatch(kind === 'http' ? /PUT a: 422 \(Go away\)$/ : /PUT a in cache: 422$/)
  })
})
