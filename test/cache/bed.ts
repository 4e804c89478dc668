// What the tests of the senders have in common.

import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { expect } from 'vitest'
import { SendFailure } from '../../src/delivery/uploader.ts'
import type { Blame } from '../../src/nix/blame.ts'
import { Flow, type FlowOptions } from '../../src/transport/adaptive-concurrency.ts'
import type { Transport } from '../../src/transport/transport.ts'

/** Nobody aborts. */
export const { signal: never } = new AbortController()

/** As by default, but the waits between attempts are short. */
export function quickFlow(options: Partial<FlowOptions> = {}): Flow {
  return new Flow({ minWaitMs: 10, maxWaitMs: 100, ...options })
}

/** Makes a file of random bytes. Returns what to upload, and its digest. */
export async function makeFile(
  file: string,
  size: number,
): Promise<{ body: { file: string; size: number }; digest: string }> {
  const hash = createHash('sha256')
  const handle = await open(file, 'w')
  const block = randomBytes(1024 * 1024)
  for (let at = 0; at < size; at += block.length) {
    block.writeUInt32LE(at % 2 ** 32)
    const part = block.subarray(0, Math.min(block.length, size - at))
    hash.update(part)
    await handle.write(part)
  }
  await handle.close()
  return { body: { file, size }, digest: hash.digest('hex') }
}

/** The digest of a file. */
export async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk)
  return hash.digest('hex')
}

/** Uploads a short text. */
export async function putText(transport: Transport, name: string, text = 'text'): Promise<void> {
  await transport.put(name, { text }, never, () => {})
}

/** Waits for something to fail as a destination or a job fails, and returns how. */
export async function failureOf(action: Promise<unknown>): Promise<SendFailure> {
  const error = await action.then(
    () => new Error('It went through'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof SendFailure)) throw error
  return error
}

export interface Expected {
  blame?: Blame
  permanent?: true
  isOfOneFile?: true
  says: RegExp
}

/** Checks what a failure says, and whose it is; the destination's unless told otherwise. Returns the message. */
export async function expectFailure(action: Promise<unknown>, expected: Expected): Promise<string> {
  const { verdict, isOfOneFile } = await failureOf(action)
  expect(verdict.message).toMatch(expected.says)
  expect(verdict.message).toMatch(/^[^\n]{40,500}$/)
  expect({ ...verdict, isOfOneFile }).toMatchObject({
    blame: expected.blame ?? 'destination',
    permanent: expected.permanent ?? false,
    isOfOneFile: expected.isOfOneFile ?? false,
  })
  return verdict.message
}
