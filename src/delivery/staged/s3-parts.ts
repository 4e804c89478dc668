import type { Range } from './body-stream.ts'
import { Meter } from './meter.ts'
import type { S3Way } from './s3-calls.ts'
import { codeOfS3 } from './s3-failure.ts'
import type { S3Object } from './s3-object.ts'

/** A file that goes in parts, and the object it becomes. */
export interface LargeFile {
  name: string
  object: S3Object
  body: { file: string; size: number }
}

/** An upload in parts that S3 knows of. */
interface Begun {
  Bucket: string
  Key: string
  UploadId: string | undefined
}

/** S3 takes no more. */
const MOST_PARTS = 10_000
/** The parts of one file shall not keep all others waiting. */
const PARTS_AT_ONCE = 8
const ABANDON_MS = 10_000

/**
 * Uploads a large file: each part is read from the disk as it goes, and tried again by itself. The SDK's own helper holds
 * whole parts in memory, several for each file, and sends a part faster than a rate limit allows.
 */
export async function putInParts(
  way: S3Way,
  file: LargeFile,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  const begun = await begin(way, file, signal)
  const meter = new Meter(onBytes)
  try {
    const tags = await sendParts(way, file, begun, signal, (count) => meter.add(count))
    await complete(way, file, begun, tags, signal)
  } catch (error) {
    meter.takeBack()
    await abandon(way, file, begun)
    throw error
  }
}

async function begin({ calls, flow }: S3Way, file: LargeFile, signal: AbortSignal): Promise<Begun> {
  const { Bucket, Key } = file.object
  const make = () =>
    calls.call(`begin PUT ${file.name}`, signal, ({ sdk, client, options }) =>
      client.send(new sdk.CreateMultipartUploadCommand(file.object), options),
    )
  const { UploadId } = await flow.run(make, signal)
  return { Bucket, Key, UploadId }
}

/** @returns What S3 calls the parts, in their order. */
async function sendParts(
  way: S3Way,
  file: LargeFile,
  begun: Begun,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<(string | undefined)[]> {
  const ranges = rangesOf(file.body.size, way.place.partBytes)
  const tags: (string | undefined)[] = []
  const failed = new AbortController()
  const both = AbortSignal.any([signal, failed.signal])
  const waiting = ranges.entries()
  const sendSome = async () => {
    for (const [at, range] of waiting)
      tags[at] = await sendPart(way, file, begun, { at, range, onBytes }, both)
  }
  const senders = Array.from({ length: PARTS_AT_ONCE }, () =>
    sendSome().catch((error) => failed.abort(error)),
  )
  await Promise.all(senders)
  both.throwIfAborted()
  return tags
}

async function sendPart(
  { calls, flow }: S3Way,
  { name, body }: LargeFile,
  begun: Begun,
  { at, range, onBytes }: { at: number; range: Range; onBytes: (count: number) => void },
  signal: AbortSignal,
): Promise<string | undefined> {
  const input = { ...begun, PartNumber: at + 1, ContentLength: range.size }
  const make = () =>
    calls.call(
      `PUT part ${at + 1} of ${name}`,
      signal,
      ({ sdk, client, options, body: Body }) =>
        client.send(new sdk.UploadPartCommand({ ...input, Body }), options),
      { body, range, onBytes },
    )
  return (await flow.run(make, signal)).ETag
}

async function complete(
  { calls, flow }: S3Way,
  { name, body }: LargeFile,
  begun: Begun,
  tags: readonly (string | undefined)[],
  signal: AbortSignal,
): Promise<void> {
  const Parts = tags.map((ETag, at) => ({ ETag, PartNumber: at + 1 }))
  let attempts = 0
  const make = () =>
    calls.call(`end PUT ${name}`, signal, async ({ sdk, client, options }) => {
      attempts++
      const command = new sdk.CompleteMultipartUploadCommand({ ...begun, MultipartUpload: { Parts } })
      try {
        await client.send(command, options)
      } catch (error) {
        // Where the first answer was lost, there is nothing left to complete.
        if (attempts === 1 || codeOfS3(error) !== 'NoSuchUpload') throw error
        const { Bucket, Key } = begun
        const { ContentLength } = await client.send(new sdk.HeadObjectCommand({ Bucket, Key }), options)
        if (ContentLength !== body.size) throw error
      }
    })
  await flow.run(make, signal)
}

/** Parts that belong to nothing would cost money for ever. */
async function abandon({ calls }: S3Way, { name }: LargeFile, begun: Begun): Promise<void> {
  const make = calls.call(
    `give up PUT ${name}`,
    AbortSignal.timeout(ABANDON_MS),
    ({ sdk, client, options }) => client.send(new sdk.AbortMultipartUploadCommand(begun), options),
  )
  // What went wrong before is what counts.
  await make.catch(() => {})
}

function rangesOf(size: number, partBytes: number): Range[] {
  const length = Math.max(partBytes, Math.ceil(size / MOST_PARTS))
  return Array.from({ length: Math.ceil(size / length) }, (_, at) => ({
    start: at * length,
    size: Math.min(length, size - at * length),
  }))
}
