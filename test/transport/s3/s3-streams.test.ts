import { join } from 'node:path'
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { expect, test } from 'vitest'
import { openTcpGate } from '../../support/servers/tcp-gate.ts'
import { digestOfBody, MIB, makeFile, never, put, stream, unsized } from '../bed.ts'
import { radosgwBed } from './radosgw-bed.ts'
import { withTransport } from './s3-bed.ts'

const { dir, s3, alice, urlOf, download, putOnce } = await radosgwBed()

/** Uploads in parts that nobody ended. */
async function leftovers() {
  const { Uploads = [] } = await alice.send(new ListMultipartUploadsCommand({ Bucket: 'cache' }))
  return Uploads
}

test('200 MB go in parts, of which three are in memory', async () => {
  const { body, digest } = await makeFile(join(dir, 'large'), 200_000_000)
  const to = urlOf('cache', '&multipart-chunk-size=8388608')
  const { verdict, peakBytes } = await putOnce({}, to, body.file)
  expect(verdict).toBeUndefined()
  // Node takes 100 MB by itself, and what it has read is not collected at once.
  expect(peakBytes).toBeLessThan(220 * MIB)
  expect(await download('nar/once')).toMatchObject({ digest, ContentLength: body.size })
})

test('a part that breaks off is sent again, and what is given up leaves no parts behind', async () => {
  const { body, digest } = await makeFile(join(dir, 'parts'), 30_000_000)
  const gate = await openTcpGate(s3.port)
  const to = `s3://cache?endpoint=http://127.0.0.1:${gate.port}&multipart-chunk-size=5242880`
  await withTransport(to, s3.alice, async (transport) => {
    const counts: number[] = []
    gate.fault = { afterBytes: 2_000_000, how: 'cut' }
    await transport.put({ name: 'nar/cut', contentType: 'x/y', body: unsized(body) }, never, (count) => {
      counts.push(count)
      if (count < 0) gate.fault = undefined
    })
    expect(Math.min(...counts)).toBeLessThan(0)
    expect(counts.reduce((sum, count) => sum + count)).toBe(body.size)
    expect(await download('nar/cut')).toMatchObject({ digest, ContentLength: body.size })

    const ended = new AbortController()
    const aborted = { name: 'nar/aborted', contentType: 'x/y', body: unsized(body) }
    const putting = transport.put(aborted, ended.signal, () => ended.abort(new Error('enough')))
    await expect(putting).rejects.toThrow('enough')
  })
  await gate.close()
  expect(await leftovers()).toEqual([])
})

test.each([100_000, 12 * MIB])('a stream that throws after %i bytes leaves nothing', async (size) => {
  const error = new Error('not as it was built')
  await withTransport(`${urlOf('cache')}&multipart-chunk-size=5242880`, s3.alice, async (transport) => {
    await expect(put(transport, 'nar/bad', stream(size, { error }))).rejects.toBe(error)
    expect(await transport.head('nar/bad', never)).toBeUndefined()
  })
  expect(await leftovers()).toEqual([])
})

test('streams of unknown length are there as they were, in parts or measured', async () => {
  const body = stream(12 * MIB)
  const digest = await digestOfBody(body)
  for (const query of ['&multipart-chunk-size=5242880', '&multipart-upload=false']) {
    await withTransport(urlOf('cache', query), s3.alice, (transport) => put(transport, 'nar/stream', body))
    expect(await download('nar/stream')).toMatchObject({ digest, ContentType: 'x/y' })
  }
})
