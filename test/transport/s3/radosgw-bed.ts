// What the tests with a real S3 that checks signatures have in common: Ceph's gateway, with a bucket of alice's.

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, GetObjectCommand } from '@aws-sdk/client-s3'
import { afterAll } from 'vitest'
import type { Verdict } from '../../../src/util/verdict.ts'
import { runProgram } from '../../support/run.ts'
import { startRadosgw } from '../../support/servers/radosgw.ts'
import { clientOf, environmentOf } from './s3-bed.ts'

const PUT_ONCE = join(import.meta.dirname, 'put-once.ts')

/** For one file of tests. */
export async function radosgwBed() {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-s3-'))
  const s3 = await startRadosgw()
  const alice = clientOf(s3.endpoint, s3.alice)
  await alice.send(new CreateBucketCommand({ Bucket: 'cache' }))
  afterAll(async () => {
    await s3.stop()
    await rm(dir, { recursive: true })
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

  return { dir, s3, alice, urlOf, download, putOnce }
}
