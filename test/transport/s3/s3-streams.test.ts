// Streams to a real S3 that checks signatures, in parts and measured: Ceph's gateway.

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { beforeAll, expect, test } from 'vitest'
import type { Verdict } from '../../../src/util/verdict.ts'
import { runProgram } from '../../support/run.ts'
import { type Radosgw, startRadosgw } from '../../support/servers/radosgw.ts'
import { openTcpGate } from '../../support/servers/tcp-gate.ts'
import { digestOfBody, MIB, makeFile, never, put, stream, unsized } from '../bed.ts'
import { clientOf, environmentOf, withTransport } from './s3-bed.ts'

const PUT_ONCE = join(import.meta.dirname, 'put-once.ts')

let dir: string
let s3: Radosgw
let alice: S3Client

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nix-upload-s3-'))
  s3 = await startRadosgw()
  alice = clientOf(s3.endpoint, s3.alice)
  await alice.send(new CreateBucketCommand({ Bucket: 'cache' }))
  return async () => {
    await s3.stop()
    await rm(dir, { recursive: true })
  }
})

const urlOf = (bucket: string, query = '') =>
  `s3://${bucket}?region=eu-west-1&endpoint=${s3.endpoint}${query}`

async function download(Key: string) {
  const { Body, ContentType, StorageClass, ContentLength } = await alice.send(
    new GetObjectCommand({ Bucket: 'cache', Key }),
  )
  const hash = createHash('sha256').update((await Body?.transformToByteArray()) ?? '')
  return { digest: hash.digest('hex'), ContentType, StorageClass, ContentLength }
}

/** Uploads from a process of its own, whose environment is only this. */
async function putOnce(env: Record<string, string>, to: string, file: string, within: string[] = []) {
  const [program = '', ...args] = [...within, process.execPath, PUT_ONCE, to, 'nar/once', file]
  const all = { ...environmentOf(s3.alice), ...env, PATH: process.env.PATH ?? '' }
  const { stdout, stderr } = await runProgram(program, args, { env: all })
  if (stdout === '') throw new Error(stderr)
  const result: { verdict?: Verdict | string; peakBytes: number } = JSON.parse(stdout)
  return result
}

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
