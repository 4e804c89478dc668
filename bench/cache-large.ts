// Large paths: one that doesn't compress, one of many files, many of some size, and a large closure, beside Nix's own upload over http.

import { readFileSync } from 'node:fs'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { partsOf } from '../src/util/parts.ts'
import type { PrivateNix } from '../test/support/private-nix.ts'
import { startRadosgw } from '../test/support/servers/radosgw.ts'
import { environmentOf } from '../test/transport/s3/s3-bed.ts'
import { bare, deliver, inTurn, withNginx } from './cache-runs.ts'
import { newPath, register, type Wanted } from './registered-paths.ts'
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

/** Many paths of a real program's bytes, of a common size. */
export async function realPaths(nix: PrivateNix, count: number, mebibytes: number): Promise<Compared> {
  const program = readFileSync(process.execPath)
  const bytes = mebibytes * MIB
  const paths = Array.from({ length: count }, (_, at): [string, Wanted] => {
    const from = (at * 310_007) % (program.length - bytes)
    const content = Buffer.concat([Buffer.from(`${at}`), program.subarray(from, from + bytes)])
    return [newPath(nix, `real-${at}`), { content, references: [] }]
  })
  await register(nix, new Map(paths))
  return await overHttp(
    nix,
    paths.map(([path]) => path),
  )
}

/** One path with a large closure, most of it small: one path in a hundred has a megabyte, and one in ten 40 kB. */
export async function largeClosure(nix: PrivateNix, count: number): Promise<Compared> {
  const program = readFileSync(process.execPath)
  const paths = new Map<string, Wanted>()
  const add = (name: string, bytes: number, references: readonly string[]) => {
    const path = newPath(nix, name)
    const from = (paths.size * 7919) % (program.length - bytes)
    const content = [references.join('\n'), `${paths.size}`, program.subarray(from, from + bytes)]
    paths.set(path, { content: Buffer.concat(content.map((part) => Buffer.from(part))), references })
    return path
  }
  const all: string[] = []
  for (let at = 0; at < count; at++) {
    const references = [1, 7, 50, 300, 2000].flatMap((back) => all[at - back] ?? [])
    all.push(
      add(`some-package-${at}`, at % 100 === 0 ? 1_000_000 : at % 10 === 0 ? 40_000 : 1_000, references),
    )
  }
  const groups = [...partsOf(all, 200)].map((part, at) => add(`group-${at}`, 1_000, part))
  const top = add('all', 1_000, groups)
  await register(nix, paths)
  return await overHttp(nix, [top])
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
