// A cache is whole at every instant, for whoever reads it, while the daemon that fills it is killed again and again: a
// bucket of a real S3, nginx, and a directory. Twenty times each with PROOF=1 (`npm run proof`), a few times otherwise.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import { expect, onTestFinished, test } from 'vitest'
import { layersOf } from '../cache/layers.ts'
import { versions } from '../delivery/bed.ts'
import { until } from '../integration/daemon.ts'
import { makeSite, type Site } from '../integration/site.ts'
import { startNginx } from '../support/servers/nginx.ts'
import { startRadosgw } from '../support/servers/radosgw.ts'
import { clientOf, environmentOf } from '../transport/s3/s3-bed.ts'
import { Bucket, CacheReader, Directory, type Place } from './cache-reader.ts'
import { evidence, IS_WHOLE } from './share.ts'

const KILLS = IS_WHOLE ? 20 : 3
const [LAYERS, EACH] = IS_WHOLE ? [12, 20] : [5, 6]
/** So that all isn't there between two looks. */
const RATE = 'max-rate = "2M"\n'

/** A cache that is to be filled, and somebody to look into it. */
interface Destination {
  to: string
  place: Place
  /** Of a path that goes as a stream; to S3 in two parts. */
  largeBytes: number
  /** For the config. */
  rate: string
  /** The environment of who fills it. */
  env?: Record<string, string>
  /** Where Nix finds it in the end; by default where it was uploaded to. */
  readAt?: (reader: CacheReader) => Promise<string>
  /** What was left behind that nobody sees. */
  leftovers?: () => Promise<string>
}

const DESTINATIONS: Readonly<Record<string, (site: Site) => Promise<Destination>>> = {
  s3: async (site) => {
    const s3 = await startRadosgw()
    onTestFinished(() => s3.stop())
    const client = clientOf(s3.endpoint, s3.alice)
    await client.send(new CreateBucketCommand({ Bucket: 'cache' }))
    const bucket = new Bucket(client, 'cache')
    const parts = 'multipart-threshold=5MiB&multipart-chunk-size=5MiB'
    return {
      to: `s3://cache?region=eu-west-1&endpoint=${s3.endpoint}&${parts}`,
      place: bucket,
      largeBytes: 6_000_000,
      rate: RATE,
      env: environmentOf(s3.alice),
      // Not every Nix can read S3.
      readAt: async (reader) => {
        const mirror = join(site.nix.dir, 'mirror')
        await reader.mirrorTo(mirror)
        return `file://${mirror}`
      },
      leftovers: async () => `, ${await bucket.unfinished()} uploads in parts left behind`,
    }
  },
  http: async () => {
    const server = await startNginx()
    onTestFinished(() => server.stop())
    return { to: server.url, place: new Directory(server.root), largeBytes: 6_000_000, rate: RATE }
  },
  // Nothing makes a disk slow; but it has to take more.
  file: async (site) => ({
    to: `file://${site.cache}`,
    place: new Directory(site.cache),
    largeBytes: 120_000_000,
    rate: '',
  }),
}

test.each(['s3', 'http', 'file'])(
  `a cache is whole at every instant, while who fills it is killed ${KILLS} times: %s`,
  {
    timeout: 600_000,
  },
  async (kind) => {
    const version = versions.at(-1) ?? expect.unreachable('there is a Nix')
    const site = await makeSite(version)
    const {
      to,
      place,
      largeBytes,
      rate,
      env = {},
      readAt,
      leftovers,
    } = (await DESTINATIONS[kind]?.(site)) ?? expect.unreachable(kind)
    await site.makeSpool()
    const { secretKeyFile, publicKey } = await site.nix.keyPair('ours-1')
    const large = await site.nix.build({ name: 'large', sizeBytes: largeBytes })
    const { outPaths } = await site.nix.build(layersOf(LAYERS, EACH))
    const jobs = [...large.outPaths, ...outPaths]
    await site.enqueue(jobs)
    const destination = `[[destination]]\nto = "${to}"\nsecret-key-file = "${secretKeyFile}"\n`
    const config = await site.configured(destination + rate)

    const reader = new CacheReader(place)
    let isOver = false
    const reading = (async () => {
      while (!isOver) {
        await reader.look()
        await sleep(5)
      }
    })()

    const all = 2 * (LAYERS * EACH + 1) + 1
    const killedAt: number[] = []
    while (killedAt.length < KILLS && site.counts().done < jobs.length) {
      const daemon = site.start([killedAt.length % 2 === 0 ? 'drain' : 'watch', ...config], [], env)
      const before = await reader.count()
      const goal = before + Math.floor((Math.random() * (all - before)) / (KILLS - killedAt.length + 1))
      const isThere = async () => (await reader.count()) > goal
      // It may as well be starting, or in the midst of the large one.
      const when =
        Math.random() < 0.6
          ? until(isThere, `${goal} files`)
          : sleep(Math.random() * (rate === '' ? 400 : 3000))
      await Promise.race([daemon.exited, when])
      if (Math.random() < 0.5) daemon.kill('SIGKILL')
      else daemon.killWithChildren()
      // It may just have come to its end.
      if ((await daemon.exited) === 137) killedAt.push(await reader.count())
    }
    const left = await leftovers?.()
    expect(await site.run(['drain', ...config], { env })).toMatchObject({ exitCode: 0 })
    isOver = true
    await reading
    await reader.look()
    evidence(
      `${kind}, killed with ${killedAt.join(', ')} of ${all} files there${left ?? ''}: ` +
        `${reader.looks} looks, ${reader.narinfos} narinfos, ${reader.holes.length} that told of what wasn't there`,
    )
    expect(reader.holes).toEqual([])
    // On a machine that was busy elsewhere, the rest of it may have gone through between two looks.
    expect(killedAt.length).toBeGreaterThan(KILLS / 2)
    expect(await reader.count()).toBe(all)
    expect(site.counts()).toEqual({ new: 0, cur: 0, done: jobs.length, failed: 0 })
    const readable = (await readAt?.(reader)) ?? to
    expect(await site.nix.substituteFrom(readable, jobs, publicKey)).toMatchObject({ exitCode: 0 })
  },
)
