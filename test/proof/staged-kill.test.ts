// A bucket of a real S3 is whole at every instant, while the daemon that fills it is killed again and again.
// Twenty times with PROOF=1 (`npm run proof`), a few times otherwise.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { expect, onTestFinished, test } from 'vitest'
import { layersOf } from '../cache/layers.ts'
import { versions } from '../delivery/bed.ts'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { startRadosgw } from '../support/servers/radosgw.ts'
import { clientOf, environmentOf } from '../transport/s3/s3-bed.ts'
import { BucketReader } from './bucket-reader.ts'
import { evidence, IS_WHOLE } from './share.ts'

const KILLS = IS_WHOLE ? 20 : 3
const [LAYERS, EACH] = IS_WHOLE ? [12, 20] : [5, 6]
const BUCKET = 'cache'
/** Goes in two parts. */
const LARGE_BYTES = 6_000_000
/** So that all isn't there between two looks. */
const RATE = 'max-rate = "2M"\n'

test(`a bucket is whole at every instant, while who fills it is killed ${KILLS} times`, {
  timeout: 600_000,
}, async () => {
  const version = versions.at(-1) ?? expect.unreachable('there is a Nix')
  const [site, s3] = await Promise.all([makeSite(version), startRadosgw()])
  onTestFinished(() => s3.stop())
  const client = clientOf(s3.endpoint, s3.alice)
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
  await site.makeSpool()
  const { secretKeyFile, publicKey } = await site.nix.keyPair('ours-1')
  const large = await site.nix.build({ name: 'large', sizeBytes: LARGE_BYTES })
  const { outPaths } = await site.nix.build(layersOf(LAYERS, EACH))
  const jobs = [...large.outPaths, ...outPaths]
  await site.enqueue(jobs)
  const parts = 'multipart-threshold=5MiB&multipart-chunk-size=5MiB'
  const to = `s3://${BUCKET}?region=eu-west-1&endpoint=${s3.endpoint}&${parts}`
  const destination = `[[destination]]\nto = "${to}"\nsecret-key-file = "${secretKeyFile}"\n`
  const config = await site.configured(destination + RATE)
  const env = environmentOf(s3.alice)

  const reader = new BucketReader(client, BUCKET)
  let isOver = false
  const reading = (async () => {
    while (!isOver) {
      await reader.look()
      await sleep(5)
    }
  })()

  const all = 2 * (LAYERS * EACH + 1) + 1
  const killedAt: number[] = []
  while (killedAt.length < KILLS) {
    const daemon = site.start([killedAt.length % 2 === 0 ? 'drain' : 'watch', ...config], [], env)
    const before = await reader.count()
    const goal = before + Math.floor((Math.random() * (all - before)) / (KILLS - killedAt.length + 1))
    const isThere = async () => (await reader.count()) > goal
    if (Math.random() < 0.8) await Promise.race([daemon.exited, until(isThere, `${goal} objects`, 60_000)])
    // It may as well be starting or packing.
    else await Promise.race([daemon.exited, sleep(Math.random() * 1500)])
    if (site.counts().done > 0) break
    if (Math.random() < 0.5) daemon.kill('SIGKILL')
    else daemon.killWithChildren()
    expect(await daemon.exited).toBe(137)
    killedAt.push(await reader.count())
  }
  const unfinished = await reader.unfinished()
  expect(await site.run(['drain', ...config], { env })).toMatchObject({ exitCode: 0 })
  isOver = true
  await reading
  await reader.look()
  evidence(
    `S3, killed with ${killedAt.join(', ')} of ${all} objects there, ${unfinished} uploads in parts left behind: ` +
      `${reader.looks} looks, ${reader.narinfos} narinfos, ${reader.holes.length} that told of what wasn't there`,
  )
  // On a machine that was busy elsewhere, the rest of it may have gone through between two looks.
  expect(killedAt.length).toBeGreaterThan(KILLS / 2)
  expect(reader.holes).toEqual([])
  expect(await reader.count()).toBe(all)
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: jobs.length, failed: 0 })
  const mirror = join(site.nix.dir, 'mirror')
  await reader.mirrorTo(mirror)
  expect(await site.nix.substituteFrom(`file://${mirror}`, jobs, publicKey)).toMatchObject({ exitCode: 0 })
})
