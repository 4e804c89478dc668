// Many tiny paths to an S3 that checks signatures, over a network with a long round trip: by a running daemon with
// credentials, and by one bare `nix copy` without, to a bucket that anybody may write to (Debian's Nix can't sign).
// The delay is not made here: run this in a network namespace whose loopback has one, such as
//   unshare -n sh -c 'ip link set lo up; tc qdisc add dev lo root netem delay 25ms; node bench/round-trip.ts'
// usage: node bench/round-trip.ts [PATHS]; progress on stderr, one JSON object on stdout.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { nixVersions } from '../test/support/nix-versions.mjs'
import { makePrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'
import { Radosgw } from '../test/support/servers/radosgw.ts'
import { environmentOf } from '../test/transport/s3/s3-bed.ts'
import { deliver } from './cache-runs.ts'
import { median, seconds } from './figures.ts'

const [count = 1000] = process.argv.slice(2).map(Number)
const PORT = 7480
const ROUNDS = 3
/** Nix takes a machine with nothing but a loopback for one without a network, and gives up after a second. */
const PATIENT = ['--option', 'connect-timeout', '60', '--option', 'download-attempts', '3']

const version = (await nixVersions()).at(-1)
if (!version) throw new Error('there is no Nix')
const dir = await mkdtemp(join(tmpdir(), 'nix-upload-round-trip-'))
const nix = await makePrivateNix(version, { name: 'bench' })
const s3 = new Radosgw(dir, PORT)

async function bucket(Bucket: string, ACL: 'private' | 'public-read-write'): Promise<string> {
  const { endpoint, alice: credentials } = s3
  const client = new S3Client({ endpoint, credentials, region: 'us-east-1', forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket, ACL }))
  return `s3://${Bucket}?endpoint=${endpoint}`
}

async function roundTripMs(): Promise<number> {
  const took = await seconds(async () => {
    const socket = connect(PORT, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
  })
  return Math.round(took * 1000)
}

try {
  await s3.start()
  const files = Array.from({ length: count }, (_, at) => [`tiny-${at}`, `content ${at}\n`])
  const paths = await nix.addAllToStore(Object.fromEntries(files))
  const env = environmentOf(s3.alice)
  const runs = []
  for (let round = 0; round < ROUNDS; round++) {
    runs.push(await deliver(nix, paths, [await bucket(`private-${round}`, 'private')], { env }))
    process.stderr.write(`${JSON.stringify(runs.at(-1))}\n`)
  }
  const to = `${await bucket('public', 'public-read-write')}&region=us-east-1&compression=zstd`
  const copy = ['copy', '--option', 'substitute', 'false', ...PATIENT, '--to', to, ...paths]
  const bareSeconds = await seconds(async () =>
    must(await nix.run('nix', copy, { timeout: 900_000 }), 'copy'),
  )
  const result = {
    nix: version.version,
    paths: count,
    roundTripMs: await roundTripMs(),
    bareSeconds,
    ourSeconds: median(runs.map((run) => run.seconds)),
    peakMiB: median(runs.map(({ peakMiB }) => peakMiB)),
  }
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
} finally {
  await s3.stop()
  await nix.cleanup()
  await rm(dir, { recursive: true, force: true })
}
