// doctor and a bucket of a real S3: the classic "Access Denied", and what else is wrong with credentials.

import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { beforeAll, expect, test } from 'vitest'
import { type Radosgw, type S3User, startRadosgw } from '../../support/servers/radosgw.ts'
import { clientOf, environmentOf } from '../../transport/s3/s3-bed.ts'
import { bench, build } from '../cli.ts'
import { findings } from './bed.ts'

let s3: Radosgw
beforeAll(async () => {
  await build()
  s3 = await startRadosgw()
  await clientOf(s3.endpoint, s3.alice).send(new CreateBucketCommand({ Bucket: 'cache' }))
  return () => s3.stop()
})

/** What doctor says of a bucket to who has these credentials, on a machine that has nothing else, not even Nix. */
async function verdict(bucket: string, credentials: S3User, store = '/nix/store') {
  const { run, dir } = bench()
  const to = `s3://${bucket}?region=us-east-1&endpoint=${s3.endpoint}`
  const { stdout } = await run(['doctor', '--json', '--to', to], {
    env: { ...environmentOf(credentials, dir), NIX_STORE_DIR: store },
  })
  const check = findings(stdout).of('destination default')
  expect(stdout).not.toContain(credentials.secretAccessKey)
  return check
}

test('who may write there is told so, of an empty bucket and of one that is set up', async () => {
  const first = await verdict('cache', s3.alice)
  expect(first).toMatchObject({
    state: 'ok',
    what: expect.stringMatching(/it is empty, and accepted the beginning of an upload/),
  })
  const client = clientOf(s3.endpoint, s3.alice)
  const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket: 'cache' }))
  expect(KeyCount).toBe(0)
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: 'cache' }))
  expect(Uploads).toEqual([])
  const Body = 'StoreDir: /nix/store\n'
  await client.send(new PutObjectCommand({ Bucket: 'cache', Key: 'nix-cache-info', Body }))
  const second = await verdict('cache', s3.alice)
  expect(second).toMatchObject({ state: 'ok', what: expect.stringMatching(/can be written to$/) })
  const other = await verdict('cache', s3.alice, '/other/store')
  expect(other).toMatchObject({ state: 'fail', what: expect.stringMatching(/for the store \/nix\/store/) })
})

test('whose key is right but has no rights there: access denied', async () => {
  const { state, what } = await verdict('cache', s3.bob)
  expect([state, what]).toEqual(['fail', expect.stringMatching(/AccessDenied/)])
})

test('whose secret is wrong', async () => {
  const { state, what } = await verdict('cache', { ...s3.alice, secretAccessKey: 'not-the-secret-of-alice' })
  expect([state, what]).toEqual(['fail', expect.stringMatching(/SignatureDoesNotMatch/)])
})

test('a bucket that is not there', async () => {
  const { state, what } = await verdict('no-such-bucket', s3.alice)
  expect([state, what]).toEqual(['fail', expect.stringMatching(/NoSuchBucket/)])
})
