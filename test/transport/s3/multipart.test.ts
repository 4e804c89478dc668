// Streams of unknown length in parts, against an S3 that has its moods.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { StreamBody } from '../../../src/transport/transport.ts'
import { digestOfBody, expectFailure, MIB, never, put, sha256, stream } from '../bed.ts'
import { type FakeParts, fakeParts, type Step } from './fake-parts.ts'
import { ANYBODY, errorXml, withTransport } from './s3-bed.ts'

const QUERY = '&multipart-chunk-size=5242880'

const send = (server: FakeParts, body: StreamBody, name = 'a') =>
  withTransport(`${server.s3}${QUERY}`, ANYBODY, (transport) => put(transport, name, body))

/** What lies there is what was sent, and no parts are left. */
async function expectStored(server: FakeParts, body: StreamBody): Promise<void> {
  expect(sha256(server.objects.get('a') ?? Buffer.alloc(0))).toBe(await digestOfBody(body))
  expect(server.open.size).toBe(0)
}

test.each<[number, Step[]]>([
  [0, ['whole']],
  [5 * MIB - 1, ['whole']],
  [5 * MIB, ['begin', 'part', 'end']],
  [5 * MIB + 1, ['begin', 'part', 'part', 'end']],
  [17 * MIB, ['begin', 'part', 'part', 'part', 'part', 'end']],
])('%i bytes go in these steps: %j', async (size, steps) => {
  const server = await fakeParts()
  const body = stream(size)
  expect(await send(server, body)).toMatchObject({ sent: size })
  await expectStored(server, body)
  expect(server.steps).toEqual(steps)
})

test('one of which it is known that it is short is measured and goes as a whole', async () => {
  const server = await fakeParts()
  const body = { ...stream(1000), atMost: 5 * MIB }
  expect(await send(server, body)).toMatchObject({ sent: 1000 })
  await expectStored(server, body)
  expect(server.asked).toMatchObject([{ method: 'PUT', headers: { 'content-length': '1000' } }])
})

test('parts become larger where there would be more than S3 takes', async () => {
  const server = await fakeParts()
  const body = { ...stream(20 * MIB), atMost: 9_000 * 9 * MIB }
  await send(server, body)
  await expectStored(server, body)
  expect(server.steps.filter((step) => step === 'part')).toHaveLength(3)
})

test('parts that are done in another order are not mixed up, and three are under way at a time', async () => {
  let [atOnce, peak] = [0, 0]
  const three = Promise.withResolvers<void>()
  const server = await fakeParts(async (step, { url }) => {
    if (step !== 'part') return false
    peak = Math.max(peak, ++atOnce)
    if (atOnce === 3) three.resolve()
    await three.promise
    await sleep(url.includes('partNumber=1&') ? 300 : 0)
    atOnce--
    return false
  })
  const body = stream(33 * MIB)
  expect(await send(server, body)).toMatchObject({ sent: 33 * MIB })
  await expectStored(server, body)
  expect(peak).toBe(3)
})

test.each([
  ['refused for now', 503, errorXml('SlowDown')],
  ['refused for trouble', 500, errorXml('InternalError')],
  ['cut off', 0, ''],
])('a part that is %s is sent again, and nothing else', async (_, status, xml) => {
  let refusals = 0
  const server = await fakeParts((step, { url }, response) => {
    if (step !== 'part' || !url.includes('partNumber=2&') || refusals++ > 0) return false
    if (status === 0) response.destroy()
    else response.writeHead(status).end(xml)
    return true
  })
  const body = stream(17 * MIB)
  expect(await send(server, body)).toMatchObject({ sent: 17 * MIB })
  await expectStored(server, body)
  expect(server.steps.filter((step) => step === 'part')).toHaveLength(5)
})

test('a part that is refused for good ends it: that is said, and all is given up', async () => {
  const server = await fakeParts(async (step, { url }, response) => {
    if (step !== 'part' || !url.includes('partNumber=2&')) return false
    // The first part is done by then, and the stream is waited for.
    await sleep(50)
    response.writeHead(403).end(errorXml('AccessDenied', 'no'))
    return true
  })
  const endless: StreamBody = {
    atMost: 100 * MIB,
    async *open(signal) {
      // As a stream of Node's does, it says of its end only that it was ended.
      for (;;) {
        yield Buffer.alloc(MIB)
        await sleep(30, undefined, { signal })
      }
    },
  }
  await expectFailure(send(server, endless), { says: /PUT part 2 of a.*AccessDenied/, isOfOneFile: true })
  expect(server.open.size).toBe(0)
  expect(server.objects.size).toBe(0)
})

test.each([0, 1000, 6 * MIB, 17 * MIB])(
  'a stream that throws after %i bytes leaves nothing',
  async (size) => {
    const server = await fakeParts(async (step) => {
      if (step === 'part') await sleep(50)
      return false
    })
    const error = Object.assign(new Error('not as it was built'), { code: 'EIO' })
    const counts: number[] = []
    await withTransport(`${server.s3}${QUERY}`, ANYBODY, async (transport) => {
      const upload = { name: 'a', contentType: 'x/y', body: stream(size, { error }) }
      await expect(transport.put(upload, never, (count) => counts.push(count))).rejects.toBe(error)
    })
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(0)
    // What was in the sockets by then may come there after it was given up; nothing becomes of it.
    await sleep(100)
    expect(server.steps.includes('give up')).toBe(size >= 5 * MIB)
    expect([server.open.size, server.objects.size]).toEqual([0, 0])
  },
)

test('what is aborted is given up', async () => {
  const ended = new AbortController()
  const server = await fakeParts((step) => {
    if (step === 'part') ended.abort(new Error('enough'))
    return false
  })
  const putting = withTransport(`${server.s3}${QUERY}`, ANYBODY, (transport) =>
    put(transport, 'a', stream(30 * MIB), ended.signal),
  )
  await expect(putting).rejects.toThrow('enough')
  await expect.poll(() => server.open.size).toBe(0)
})
