// A clock that is wrong here is made up for, as far as S3 says what time it is.

import { expect, test } from 'vitest'
import { expectFailure, never, put, putText, stream } from '../bed.ts'
import { type Answering, type FakeServer, fakeServer } from '../fake-server.ts'
import { ANYBODY, errorXml, withTransport } from './s3-bed.ts'

const HOUR_MS = 3_600_000

const urlOf = (server: FakeServer) => `s3://cache?endpoint=${server.url}`

/** An S3 whose clock is ahead of ours, and who takes no request that is not signed by it. */
const aheadBy =
  (ms: number): Answering =>
  ({ headers }, response) => {
    const date = String(headers['x-amz-date']).replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z')
    const offBy = Date.now() + ms - Date.parse(date)
    response.setHeader('date', new Date(Date.now() + ms).toUTCString())
    if (Math.abs(offBy) < 15 * 60_000) return void response.writeHead(200, { etag: '"x"' }).end()
    response.writeHead(403).end(errorXml('RequestTimeTooSkewed'))
  }

test.each([HOUR_MS, -HOUR_MS])(
  'a clock that is off by %i ms is made up for, by all that are under way',
  async (ms) => {
    const server = await fakeServer(aheadBy(ms))
    await withTransport(urlOf(server), ANYBODY, async (transport) => {
      const names = ['a', 'b', 'c', 'd']
      await Promise.all(names.map((name) => transport.get(name, never)))
      const before = server.asked.length
      expect(before).toBeLessThanOrEqual(2 * names.length)
      await putText(transport, 'e')
      expect(server.asked).toHaveLength(before + 1)
    })
  },
)

test('also where the first that goes there is a stream', async () => {
  const server = await fakeServer(aheadBy(HOUR_MS))
  const body = { ...stream(1000), atMost: 1000 }
  const { sent } = await withTransport(urlOf(server), ANYBODY, (transport) => put(transport, 'a', body))
  expect(sent).toBe(1000)
  expect(server.asked).toHaveLength(2)
})

test('where that is not it, it is said how far the clock is off, and no more is tried', async () => {
  const server = await fakeServer((_, response) => {
    const date = new Date(Date.now() + HOUR_MS).toUTCString()
    response.writeHead(403, { date }).end(errorXml('RequestTimeTooSkewed'))
  })
  await withTransport(urlOf(server), ANYBODY, async (transport) => {
    const says =
      /clock of this machine is (35[5-9]\d|3600) s behind that of S3.*timedatectl.*RequestTimeTooSkewed/
    await expectFailure(putText(transport, 'x'), { says })
    expect(server.asked).toHaveLength(2)
  })
})
