// One large path: to nginx, and to an S3.

import { createReadStream, statSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { PrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'
import { startRadosgw } from '../test/support/servers/radosgw.ts'
import { environmentOf } from '../test/transport/s3/s3-bed.ts'
import { median, seconds } from './figures.ts'
import { bare, deliver, inTurn, withNginx } from './cache-runs.ts'

const BUCKET = 'cache'

/** Beside what Nix takes to pack it and curl or Amazon's SDK to send that, one after the other; and Nix's own upload over http. */
export async function large(nix: PrivateNix, largeMiB: number) {
  const { outPaths } = await nix.build({ name: 'large', sizeBytes: largeMiB * 1024 * 1024 })
  const unchecked = { more: 'check-contents = false\n' }
  const packed = join(nix.dir, 'packed')
  const packs: number[] = []
  /** Packed by Nix, and what came of that put by curl. */
  const alone = async () => {
    await rm(packed, { recursive: true, force: true })
    const pack = await bare(nix, outPaths, `file://${packed}`)
    packs.push(pack.seconds)
    const file = await archiveIn(packed)
    const send = (url: string) => nix.run('curl', ['-sfT', file, `${url}/nar/alone`])
    const putSeconds = await withNginx((url) => seconds(async () => must(await send(url), 'curl')))
    return { ...pack, seconds: pack.seconds + putSeconds }
  }
  const [http, packedAndPut] = await inTurn(
    () => withNginx((url) => deliver(nix, outPaths, [url], unchecked)),
    alone,
  )
  const copied = await withNginx((url) => bare(nix, outPaths, url))
  const file = await archiveIn(packed)
  const [s3, sdk] = await inTurn(
    () => withS3((url, env) => deliver(nix, outPaths, [url], { ...unchecked, env })),
    () => withS3(async (_, __, client) => ({ ...copied, seconds: await put(client, file) })),
  )
  await rm(packed, { recursive: true })
  return {
    largeMiB,
    http,
    packedAndPutSeconds: packedAndPut.seconds,
    bareSeconds: copied.seconds,
    s3,
    packSeconds: median(packs),
    sdkSeconds: sdk.seconds,
  }
}

/** Does something with an S3 that has an empty bucket, for which it has room. */
async function withS3<T>(
  act: (url: string, env: Record<string, string>, client: S3Client) => Promise<T>,
): Promise<T> {
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
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
    return await act(`s3://${BUCKET}?endpoint=${s3.endpoint}`, environmentOf(s3.alice), client)
  } finally {
    await s3.stop()
  }
}

/** @returns How many seconds the AWS SDK takes to send a file. */
function put(client: S3Client, file: string): Promise<number> {
  const input = { Bucket: BUCKET, Key: 'alone', ContentLength: statSync(file).size }
  return seconds(() => client.send(new PutObjectCommand({ ...input, Body: createReadStream(file) })))
}

async function archiveIn(cache: string): Promise<string> {
  const [name = ''] = await readdir(join(cache, 'nar'))
  return join(cache, 'nar', name)
}
