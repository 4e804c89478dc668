// What the tests of transports have in common.

import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import { AdaptiveConcurrency, type ConcurrencyOptions } from '../../src/transport/adaptive-concurrency.ts'
import type { Body, StreamBody, Transport } from '../../src/transport/transport.ts'
import { type Blame, UploadFailure } from '../../src/util/verdict.ts'

export const MIB = 1024 * 1024

/** Nobody aborts. */
export const { signal: never } = new AbortController()

/** As by default, but the waits between attempts are short. */
export function quickConcurrency(options: Partial<ConcurrencyOptions> = {}): AdaptiveConcurrency {
  return new AdaptiveConcurrency({ minWaitMs: 10, maxWaitMs: 100, ...options })
}

/** A directory that is gone after the test. */
export async function temporaryDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-transport-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A body that is read from a file, of which the size is known. */
export function fileBody(file: string, size: number): StreamBody & { size: number; file: string } {
  return { file, size, atMost: size, open: () => createReadStream(file, { highWaterMark: 256 * 1024 }) }
}

/** The same, but nobody is told beforehand how long it is. */
export function unsized({ atMost, open }: StreamBody): StreamBody {
  return { atMost, open }
}

/** Makes a file of random bytes. Returns what to upload, and its digest. */
export async function makeFile(file: string, size: number) {
  const hash = createHash('sha256')
  const handle = await open(file, 'w')
  const block = randomBytes(MIB)
  for (let at = 0; at < size; at += block.length) {
    block.writeUInt32LE(at % 2 ** 32)
    const part = block.subarray(0, Math.min(block.length, size - at))
    hash.update(part)
    await handle.write(part)
  }
  await handle.close()
  return { body: fileBody(file, size), digest: hash.digest('hex') }
}

/** A stream of so many bytes and then an error, if there is to be one; of unknown length. */
export function stream(
  bytes: number,
  { error, chunkBytes = 100_000, delayMs = 0 }: StreamOptions = {},
): StreamBody {
  return {
    atMost: 100 * MIB,
    async *open(signal) {
      for (let at = 0; at < bytes; at += chunkBytes) {
        if (delayMs > 0) await sleep(delayMs, undefined, { signal })
        yield Buffer.alloc(Math.min(chunkBytes, bytes - at), at / chunkBytes)
      }
      if (error) throw error
    },
  }
}

export interface StreamOptions {
  error?: Error
  chunkBytes?: number
  delayMs?: number
}

/** The digest of all that a stream brings. */
export async function digestOfBody(body: StreamBody): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of body.open(never)) hash.update(chunk)
  return hash.digest('hex')
}

/** The digest of a file. */
export async function digestOf(file: string): Promise<string> {
  return await digestOfBody(fileBody(file, 0))
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Uploads something. Returns how many bytes were counted, and each count. */
export async function put(
  transport: Transport,
  name: string,
  body: Body,
  signal = never,
): Promise<{ sent: number; counts: number[] }> {
  const counts: number[] = []
  await transport.put({ name, contentType: 'x/y', body }, signal, (count) => counts.push(count))
  return { sent: counts.reduce((sum, count) => sum + count, 0), counts }
}

/** Uploads a short text. */
export async function putText(transport: Transport, name: string, text = 'text'): Promise<void> {
  await put(transport, name, Buffer.from(text))
}

/** Waits for something to fail as a destination or a job fails, and returns how. */
export async function failureOf(action: Promise<unknown>): Promise<UploadFailure> {
  const error = await action.then(
    () => new Error('It went through'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof UploadFailure)) throw error
  return error
}

export interface Expected {
  blame?: Blame
  permanent?: true
  isOfOneFile?: true
  isTrouble?: true
  says: RegExp
}

/** Checks what a failure says, and whose it is; the destination's unless told otherwise. Returns the message. */
export async function expectFailure(action: Promise<unknown>, expected: Expected): Promise<string> {
  const { verdict, isOfOneFile, isTrouble } = await failureOf(action)
  expect(verdict.message).toMatch(expected.says)
  expect(verdict.message).toMatch(/^[^\n]{40,500}$/)
  expect({ ...verdict, isOfOneFile, isTrouble }).toMatchObject({
    blame: expected.blame ?? 'destination',
    permanent: expected.permanent ?? false,
    isOfOneFile: expected.isOfOneFile ?? false,
    isTrouble: expected.isTrouble ?? false,
  })
  return verdict.message
}
