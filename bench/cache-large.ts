// Large paths: one that doesn't compress, one of many files, and many of some size, beside Nix's own upload over http.

import { readFileSync } from 'node:fs'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import type { PrivateNix } from '../test/support/private-nix.ts'
import { startRadosgw } from '../test/support/servers/radosgw.ts'
import { environmentOf } from '../test/transport/s3/s3-bed.ts'
import { bare, deliver, inTurn, withNginx } from './cache-runs.ts'
import type { Run } from './running-daemon.ts'

const BUCKET = 'cache'
const MIB = 1024 * 1024

/** What an upload took, beside one bare `nix copy` of the same over http. */
export interface Compared {
  ours: Run
  bare: Run
  /** What the daemon had written to disks of this machine. */
  writtenMiB: number
}

/** One path that doesn't compress, over http and to an S3. */
export async function onePath(nix: PrivateNix, mebibytes: number): Promise<{ http: Compared; s3: Compared }> {
  const { outPaths } = await nix.build({ name: 'large', sizeBytes: mebibytes * MIB })
  const http = await overHttp(nix, outPaths)
  const written: number[] = []
  const [ours, alone] = await inTurn(
    () =>
      withS3((url, env) => deliver(nix, outPaths, [url], { env, onWritten: (bytes) => written.push(bytes) })),
    () => withNginx((url) => bare(nix, outPaths, url)),
  )
  return { http, s3: { ours, bare: alone, writtenMiB: Math.round(Math.max(...written) / MIB) } }
}

/** One path of many files, of a real program's bytes. */
export async function manyFiles(nix: PrivateNix, files: number, mebibytes: number): Promise<Compared> {
  const each = Math.floor((mebibytes * MIB) / files)
  const script = `/bin/mkdir $out; cd $out; i=0; while [ $i -lt ${files} ]; do
    /bin/dd if=${process.execPath} of=$i bs=${each} skip=$((i % ${Math.floor(readFileSync(process.execPath).length / each)})) count=1 2>/dev/null
    i=$((i + 1)); done`
  const { outPaths } = await nix.build(
    `derivation { name = "files"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" ${JSON.stringify(script).replaceAll('${', '\\${')} ]; }`,
  )
  return await overHttp(nix, outPaths)
}

/** Many paths of some size that don't compress. */
export async function manyPaths(nix: PrivateNix, count: number, mebibytes: number): Promise<Compared> {
  const outPaths: string[] = []
  for (let at = 0; at < count; at++) {
    const built = await nix.build({ name: `middling-${at}`, sizeBytes: mebibytes * MIB + at })
    outPaths.push(...built.outPaths)
  }
  return await overHttp(nix, outPaths)
}

async function overHttp(nix: PrivateNix, paths: readonly string[]): Promise<Compared> {
  const written: number[] = []
  const [ours, alone] = await inTurn(
    () => withNginx((url) => deliver(nix, paths, [url], { onWritten: (bytes) => written.push(bytes) })),
    () => withNginx((url) => bare(nix, paths, url)),
  )
  return { ours, bare: alone, writtenMiB: Math.round(Math.max(...written) / MIB) }
}

/** Does something with an S3 that has an empty bucket, for which it has room. */
async function withS3<T>(act: (url: string, env: Record<string, string>) => Promise<T>): Promise<T> {
  const s3 = await startRadosgw()
  try {
    const { endpoint, alice: credentials } = s3
    const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true })
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
    return await act(`s3://${BUCKET}?endpoint=${endpoint}`, environmentOf(credentials))
  } finally {
    await s3.stop()
  }
}
