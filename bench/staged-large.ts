// One large path: to nginx, and to an S3.

import { createReadStream, statSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { environmentOf } from '../test/delivery/staged/s3-bed.ts'
import type { PrivateNix } from '../test/support/private-nix.ts'
import { startRadosgw } from '../test/support/servers/radosgw.ts'
import { bare, drain, inTurn, seconds, withNginx } from './staged-runs.ts'

/** Nix's own upload of the same over http, and to S3 the work of Nix and of Amazon's SDK, one after the other. */
export async function large(nix: PrivateNix, largeMiB: number) {
  const { outPaths } = await nix.build({ name: 'large', sizeBytes: largeMiB * 1024 * 1024 })
  const unchecked = { more: 'check-contents = false\n' }
  const small = await nix.addToStore('small', 'small')
  const startSeconds = (await withNginx((url) => drain(nix, [small], [url], unchecked))).seconds
  const [http, alone] = await inTurn(
    () => withNginx((url) => drain(nix, outPaths, [url], unchecked)),
    () => withNginx((url) => bare(nix, outPaths, url)),
  )
  const packed = join(nix.dir, 'packed')
  const pack = await bare(nix, outPaths, `file://${packed}`)
  const [name = ''] = await readdir(join(packed, 'nar'))
  const s3 = await startRadosgw()
  try {
    const client = new S3Client({
      endpoint: s3.endpoint,
      credentials: s3.alice,
      region: 'us-east-1',
      forcePathStyle: true,
      // Otherwise it sends a stream in a way that this server doesn't take.
      requestChecksumCalculation: 'WHEN_REQUIRED',
    })
    await client.send(new CreateBucketCommand({ Bucket: 'cache' }))
    const url = `s3://cache?endpoint=${s3.endpoint}`
    const amazon = await drain(nix, outPaths, [url], { ...unchecked, env: environmentOf(s3.alice) })
    const file = join(packed, 'nar', name)
    const put = { Bucket: 'cache', Key: 'alone', ContentLength: statSync(file).size }
    const sdkSeconds = await seconds(() =>
      client.send(new PutObjectCommand({ ...put, Body: createReadStream(file) })),
    )
    const figures = {
      startSeconds,
      http,
      bare: alone,
      s3: amazon,
      packSeconds: pack.seconds,
      sdkSeconds,
    }
    return { largeMiB, ...figures }
  } finally {
    await s3.stop()
    await rm(packed, { recursive: true })
  }
}
