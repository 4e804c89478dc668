// What comes out of the packer is what was registered, or nothing.

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { NarBlocks } from '../../../src/cache/nar/nar-blocks.ts'
import type { PackCall } from '../../../src/cache/nar/pack-call.ts'
import { Packer } from '../../../src/cache/nar/packer.ts'
import { compressionOf } from '../../../src/config/compression.ts'
import { hashText } from '../../../src/nix/nar-hash.ts'
import { BufferPool } from '../../../src/util/buffer-pool.ts'

const never = new AbortController().signal
const MIB = 1024 * 1024

function makePacker(): Packer {
  const packer = new Packer(2)
  onTestFinished(() => packer.close())
  return packer
}

/** Something to pack, and its archive. */
function something(
  bytes: number,
  parameters = '',
): { call: Omit<PackCall, 'to'>; nar: Buffer; file: string } {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-packer-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'it')
  mkdirSync(path)
  const file = join(path, 'file')
  writeFileSync(file, Buffer.alloc(bytes, 'some text that can be compressed, '))
  const nar = Buffer.concat(
    [...new NarBlocks(path, new BufferPool(65_536)).blocks()].map(({ bytes }) => bytes),
  )
  const narHash = hashText(createHash('sha256').update(nar).digest())
  const compression = compressionOf(new URLSearchParams(parameters))
  return { call: { path, narHash, narSize: nar.length, compression, wantsListing: false }, nar, file }
}

async function streamed(packer: Packer, call: Omit<PackCall, 'to'>, signal = never): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  const stream = packer.stream(call, signal)
  // The memory of a chunk is used again for the next one.
  for await (const chunk of stream.chunks) chunks.push(Uint8Array.from(chunk))
  const whole = Buffer.concat(chunks)
  const { fileHash, fileSize } = stream.packed()
  expect({ fileHash, fileSize }).toEqual({
    fileHash: hashText(createHash('sha256').update(whole).digest()),
    fileSize: whole.length,
  })
  return whole
}

const DECOMPRESS: Record<string, (bytes: Uint8Array) => Buffer> = {
  none: (bytes) => Buffer.from(bytes),
  zstd: (bytes) => zstdDecompressSync(bytes),
  gzip: (bytes) => gunzipSync(bytes),
  br: (bytes) => brotliDecompressSync(bytes),
  xz: (bytes) => execFileSync('xz', ['-dc'], { input: bytes, maxBuffer: 1e9 }),
  bzip2: (bytes) => execFileSync('bzip2', ['-dc'], { input: bytes, maxBuffer: 1e9 }),
}

describe.each(Object.entries(DECOMPRESS))('compressed with %s', (name, decompress) => {
  test.each([10, 5 * MIB])('%d bytes come out as they went in, whole and as a stream', async (bytes) => {
    const packer = makePacker()
    const { call, nar } = something(bytes, `compression=${name}`)
    const packed = await packer.pack({ ...call, to: 'bytes' }, never)
    expect(decompress(packed.bytes).equals(nar)).toBe(true)
    expect(packed.fileSize).toBe(packed.bytes.length)
    const whole = await streamed(packer, call)
    expect(decompress(whole).equals(nar)).toBe(true)
    // The name of an archive tells its bytes: they are the same each time.
    expect((await streamed(packer, call)).equals(whole)).toBe(true)
    expect(await packer.pack({ ...call, to: 'nowhere' }, never)).toMatchObject({ fileSize: whole.length })
  })
})

test('higher levels make less of it', async () => {
  const packer = makePacker()
  const sizes = []
  for (const level of [1, 19]) {
    const { call } = something(MIB, `compression-level=${level}`)
    sizes.push((await packer.pack({ ...call, to: 'bytes' }, never)).fileSize)
  }
  expect(sizes[1]).toBeLessThan(sizes[0] ?? 0)
})

const DAMAGE: Record<string, (file: string) => void> = {
  changed: (file) => writeFileSync(file, Buffer.alloc(8 * MIB, 'other')),
  'cut short': (file) => truncateSync(file, 8 * MIB - 1),
  grown: (file) => appendFileSync(file, 'x'.repeat(20)),
  removed: (file) => rmSync(file),
}

test.each(Object.entries(DAMAGE))(
  'what was %s fails for good, says so, and never comes to its end',
  async (_, damage) => {
    const packer = makePacker()
    const { call, nar, file } = something(8 * MIB, 'compression=none')
    damage(file)
    const failure = {
      verdict: {
        blame: 'job',
        permanent: true,
        path: call.path,
        message: expect.stringContaining('--repair-path'),
      },
    }
    await expect(packer.pack({ ...call, to: 'bytes' }, never)).rejects.toMatchObject(failure)
    let bytes = 0
    const reading = (async () => {
      for await (const chunk of packer.stream(call, never).chunks) bytes += chunk.length
    })()
    await expect(reading).rejects.toMatchObject(failure)
    // A server that was told the length takes an archive for complete once it has all bytes.
    expect(bytes).toBeLessThan(nar.length)
  },
)

test('what is changed while it is read fails', async () => {
  const packer = makePacker()
  const { call, file } = something(64 * MIB, 'compression=none')
  const reading = (async () => {
    let isFirst = true
    for await (const _ of packer.stream(call, never).chunks) {
      if (isFirst) writeFileSync(file, Buffer.alloc(64 * MIB, 'other'))
      isFirst = false
    }
  })()
  await expect(reading).rejects.toMatchObject({ verdict: { permanent: true } })
})

test('a stream that nobody reads on stands still, and small paths pass it by', async () => {
  const packer = new Packer(1)
  onTestFinished(() => packer.close())
  const { call } = something(64 * MIB, 'compression=none')
  const stream = packer.stream(call, never)
  const iterator = stream.chunks[Symbol.asyncIterator]()
  await iterator.next()
  const small = something(10)
  await packer.pack({ ...small.call, to: 'bytes' }, never)
  await iterator.return?.()
  await packer.pack({ ...small.call, to: 'bytes' }, never)
})

test('whoever is not wanted any more is told so at once', async () => {
  const packer = makePacker()
  const { call } = something(64 * MIB, 'compression=br&compression-level=11')
  const ended = new AbortController()
  const packing = packer.pack({ ...call, to: 'nowhere' }, ended.signal)
  setTimeout(() => ended.abort(new Error('enough')), 50)
  await expect(packing).rejects.toThrow('enough')
})

test('a stream that is ended in the midst of compressing takes nothing else along', async () => {
  const packer = new Packer(1)
  onTestFinished(() => packer.close())
  const { call, file } = something(10)
  const large = randomBytes(40 * MIB)
  writeFileSync(file, large)
  const nar = Buffer.concat(
    [...new NarBlocks(call.path, new BufferPool(65_536)).blocks()].map(({ bytes }) => bytes),
  )
  const narHash = hashText(createHash('sha256').update(nar).digest())
  const whole = { ...call, narHash, narSize: nar.length }
  for (let round = 0; round < 5; round++) {
    const beside = packer.pack({ ...whole, to: 'nowhere' }, never)
    for await (const _ of packer.stream(whole, never).chunks) break
    expect(await beside).toMatchObject({ fileSize: expect.any(Number) })
  }
})

test.each([
  ['that is not there', 'nowhere-compressor'],
  ['that ends before it is through', 'false'],
])('a compressor %s is no path’s fault', async (_, program) => {
  const packer = makePacker()
  const { call } = something(8 * MIB)
  const compression = { name: 'xz', extension: '.xz', by: { program, args: [] }, level: undefined }
  await expect(packer.pack({ ...call, compression, to: 'nowhere' }, never)).rejects.toMatchObject({
    verdict: { blame: 'destination', permanent: false },
  })
})

test('however many small paths there are, a thread runs two compressors at a time', async () => {
  const packer = makePacker()
  const { call } = something(10)
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-compressors-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  // Each says how many are at work, itself among them.
  const script = 'touch running/$$; ls running | wc -l > seen/$$; sleep 0.02; rm running/$$; exec cat'
  for (const name of ['running', 'seen']) mkdirSync(join(dir, name))
  const by = { program: 'sh', args: ['-c', `cd ${dir}; ${script}`] }
  const compression = { name: 'xz', extension: '.xz', by, level: undefined }
  await Promise.all(
    Array.from({ length: 30 }, () => packer.pack({ ...call, compression, to: 'bytes' }, never)),
  )
  const seen = readdirSync(join(dir, 'seen')).map((name) => Number(readFileSync(join(dir, 'seen', name))))
  expect(seen).toHaveLength(30)
  expect(Math.max(...seen)).toBeLessThanOrEqual(2 * packer.jobs)
})
