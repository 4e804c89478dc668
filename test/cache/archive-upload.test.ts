// An archive that was sent leaves no memory behind.

import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ArchiveUpload } from '../../src/cache/archive-upload.ts'
import { NarBlocks } from '../../src/cache/nar/nar-blocks.ts'
import { Packer } from '../../src/cache/nar/packer.ts'
import { compressionOf } from '../../src/config/compression.ts'
import { hashText } from '../../src/nix/nar-hash.ts'
import { AT_ONCE_BYTES } from '../../src/transport/outgoing.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { BufferPool } from '../../src/util/buffer-pool.ts'
import { UploadFailure } from '../../src/util/verdict.ts'

const never = new AbortController().signal

/** Sends something of this size to a place, and tells what became of the memory of its archive. */
async function memoryAfter(bytes: number, put: () => Promise<void>): Promise<'free' | 'in use'> {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-archive-'))
  const packer = new Packer(1)
  onTestFinished(() => {
    packer.close()
    rmSync(dir, { recursive: true })
  })
  const path = join(dir, 'it')
  writeFileSync(path, randomBytes(bytes))
  const blocks = [...new NarBlocks(path, new BufferPool(65_536)).blocks()].map((block) => block.bytes)
  const nar = Buffer.concat(blocks)
  const narHash = hashText(createHash('sha256').update(nar).digest())
  const bodies: Uint8Array[] = []
  const place: Transport = {
    get: async () => undefined,
    head: async () => undefined,
    put: async ({ body }) => {
      if (body instanceof Uint8Array) bodies.push(body)
      await put()
    },
    close: () => undefined,
  }
  const object = { path, narHash, narSize: nar.length, references: [], signatures: [] }
  const upload = new ArchiveUpload(place, packer, compressionOf(new URLSearchParams()), false)
  await upload
    .send({ ...object, deriver: undefined, contentAddress: '' }, never, () => undefined)
    .catch(() => undefined)
  const [body] = bodies
  if (!(body?.buffer instanceof ArrayBuffer)) throw new Error('nothing was put')
  return body.buffer.detached ? 'free' : 'in use'
}

test('the memory of a large archive is free when it is there', async () => {
  expect(await memoryAfter(2 * AT_ONCE_BYTES, async () => undefined)).toBe('free')
})

test('a small one may still be on its way after the answer, and after a failure anything may be', async () => {
  expect(await memoryAfter(1000, async () => undefined)).toBe('in use')
  const failure = new UploadFailure({ blame: 'destination', permanent: false, message: 'no' })
  expect(await memoryAfter(2 * AT_ONCE_BYTES, () => Promise.reject(failure))).toBe('in use')
})
