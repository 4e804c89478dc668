// A private bucket that checks signatures, filled by the daemon with every Nix, those without S3 too, and read back.

import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  type S3Client,
} from '@aws-sdk/client-s3'
import { beforeAll, describe, expect, test } from 'vitest'
import { deliveries, versions } from '../delivery/bed.ts'
import { makeSite } from '../integration/site.ts'
import { must } from '../support/run.ts'
import { type Radosgw, startRadosgw } from '../support/servers/radosgw.ts'
import { clientOf, environmentOf, NOBODY } from '../transport/s3/s3-bed.ts'

let s3: Radosgw
let alice: S3Client

beforeAll(async () => {
  s3 = await startRadosgw()
  alice = clientOf(s3.endpoint, s3.alice)
  return () => s3.stop()
})

/** Copies all that is in a bucket into a directory, for a Nix that can't read S3. */
async function mirror(Bucket: string, directory: string): Promise<string[]> {
  const { Contents = [] } = await alice.send(new ListObjectsV2Command({ Bucket }))
  const keys = Contents.flatMap(({ Key }) => Key ?? [])
  for (const Key of keys) {
    const { Body } = await alice.send(new GetObjectCommand({ Bucket, Key }))
    await mkdir(dirname(join(directory, Key)), { recursive: true })
    await writeFile(join(directory, Key), (await Body?.transformToByteArray()) ?? '')
  }
  return keys
}

describe.each(versions)('with $name', (version) => {
  test('a closure arrives signed in a private bucket, and without credentials the job waits', async () => {
    const Bucket = `trip-${version.version.replaceAll('.', '-')}`
    await alice.send(new CreateBucketCommand({ Bucket }))
    const site = await makeSite(version)
    await site.makeSpool()
    const { secretKeyFile, publicKey } = await site.nix.keyPair('ours-1')
    const { outPaths } = await site.nix.build({ name: 'app', deps: [{ name: 'library' }] })
    await site.enqueue(outPaths)
    const to = `s3://${Bucket}?region=eu-west-1&endpoint=${s3.endpoint}`
    const config = await site.configured(
      `[[destination]]\nto = "${to}"\nsecret-key-file = "${secretKeyFile}"\nverify = true\n`,
    )
    const drain = (env: Record<string, string>) => site.run(['drain', ...config], { env })

    expect(await drain(environmentOf(NOBODY))).toMatchObject({ exitCode: 75 })
    expect(await deliveries(site, 'new')).toMatchObject([
      { attempts: 0, error: expect.stringMatching(/credentials/) },
    ])
    expect(await drain(environmentOf(s3.alice))).toMatchObject({ exitCode: 0 })

    const copy = join(site.nix.dir, 'mirror')
    expect(await mirror(Bucket, copy)).toHaveLength(5)
    must(await site.nix.substituteFrom(`file://${copy}`, outPaths, publicKey), 'substitute it back')
  })
})
