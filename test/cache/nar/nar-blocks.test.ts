// Archives as Nix makes them, of whatever may lie in a store.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { NarBlocks } from '../../../src/cache/nar/nar-blocks.ts'
import { hashText } from '../../../src/nix/nar-hash.ts'
import { BufferPool } from '../../../src/util/buffer-pool.ts'
import { everyNix } from '../../support/nix-versions.mjs'
import { makePrivateNix } from '../../support/private-nix.ts'
import { must } from '../../support/run.ts'

const named = (path: string, name: Buffer) => Buffer.concat([Buffer.from(`${path}/`), name])

const CONTENTS: Record<string, (path: string) => void> = {
  'a file': (path) => writeFileSync(path, 'content'),
  'an empty file': (path) => writeFileSync(path, ''),
  'a file of eight bytes': (path) => writeFileSync(path, '12345678'),
  'a file that may be executed': (path) => writeFileSync(path, '#!/bin/sh\n', { mode: 0o755 }),
  'a file that its group may execute, which is no mark': (path) => {
    writeFileSync(path, 'x')
    chmodSync(path, 0o654)
  },
  'a file of several blocks and a bit': (path) => writeFileSync(path, Buffer.alloc(300_001, 'abcdefg')),
  'a file with holes': (path) => {
    writeFileSync(path, 'x')
    truncateSync(path, 5_000_000)
  },
  'a link': (path) => symlinkSync('../some/where/else', path),
  'a link to nothing': (path) => symlinkSync('nothing', path),
  'an empty directory': (path) => mkdirSync(path),
  'a name that is no UTF-8': (path) => {
    mkdirSync(path)
    writeFileSync(named(path, Buffer.from([0xff, 0x61])), 'x')
    writeFileSync(named(path, Buffer.from([0xc3, 0xa9])), 'y')
    symlinkSync(Buffer.from([0xfe, 0x2f, 0xff]), named(path, Buffer.from([0x80])))
  },
  'names that differ in capitals only': (path) => {
    mkdirSync(path)
    for (const name of ['a', 'A', 'aA', 'Aa']) writeFileSync(join(path, name), name)
  },
  'hard links': (path) => {
    mkdirSync(path)
    writeFileSync(join(path, 'one'), 'content')
    linkSync(join(path, 'one'), join(path, 'two'))
  },
  'directories of all of them': (path) => {
    mkdirSync(join(path, 'deep/er'), { recursive: true })
    // By bytes, that is neither the order of a dictionary nor that of UTF-16.
    for (const name of ['b', 'B', 'a', 'a.b', 'a-b', 'é', 'z', '\u{ff5e}', '\u{1f600}'])
      writeFileSync(join(path, name), name)
    symlinkSync('a', join(path, 'deep/link'))
    writeFileSync(join(path, 'deep/er/program'), 'x', { mode: 0o700 })
  },
}

function temporary(): string {
  const dir = mkdtempSync(join(tmpdir(), 'nix-upload-nar-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return join(dir, 'it')
}

/** The hash of an archive, packed in blocks of that size. */
function narHash(path: string, blockBytes = 65_536): string {
  const pool = new BufferPool(blockBytes)
  const hash = createHash('sha256')
  for (const { bytes, buffer } of new NarBlocks(path, pool).blocks()) {
    hash.update(bytes)
    pool.giveBack(buffer)
  }
  return hashText(hash.digest())
}

describe.each(await everyNix())('as $name has it', (version) => {
  let ask: (path: string) => Promise<string>

  beforeAll(async () => {
    const nix = await makePrivateNix(version, { name: 'nar' })
    ask = async (path) => {
      const args = ['--type', 'sha256', '--base32', path]
      return `sha256:${must(await nix.run('nix-hash', args), 'hash').stdout.trim()}`
    }
    return () => nix.cleanup()
  })

  test.each(Object.entries(CONTENTS))('%s', async (_, make) => {
    const path = temporary()
    make(path)
    expect(narHash(path)).toBe(await ask(path))
  })

  test('random trees, in blocks of any size', async () => {
    const name = fc
      .uint8Array({ minLength: 1, maxLength: 6 })
      .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x61 : byte))))
      .filter((bytes) => !['.', '..'].includes(bytes.toString('latin1')))
    const file = fc.record({ content: fc.uint8Array({ maxLength: 40 }), mode: fc.constantFrom(0o644, 0o755) })
    const tree = fc.array(fc.record({ path: fc.array(name, { minLength: 1, maxLength: 3 }), file }), {
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(tree, fc.integer({ min: 8, max: 200 }), async (files, blockBytes) => {
        const path = temporary()
        mkdirSync(path)
        for (const { path: names, file } of files) plant(Buffer.from(path), names, file.content, file.mode)
        expect(narHash(path, blockBytes)).toBe(await ask(path))
      }),
      { numRuns: 25 },
    )
  })
})

/** Makes a file below directories; one that would be in the way of another is left out. */
function plant(root: Buffer, names: readonly Buffer[], content: Uint8Array, mode: number): void {
  const paths = names.map((_, at) =>
    Buffer.concat([root, ...names.slice(0, at + 1).flatMap((n) => [Buffer.from('/'), n])]),
  )
  const file = paths.pop()
  if (!file) return
  try {
    for (const path of paths) mkdirSync(path, { recursive: true })
    writeFileSync(file, content, { mode, flag: 'wx' })
  } catch {
    // A file is where a directory was to be, or the other way round.
  }
}

test('a file of 4 GiB and a byte', async () => {
  const path = temporary()
  const size = 2 ** 32 + 1
  writeFileSync(path, '')
  truncateSync(path, size)
  const nix = await makePrivateNix((await everyNix()).at(-1) ?? expect.unreachable('there is a Nix'))
  onTestFinished(() => nix.cleanup())
  const script = 'nix-store --dump "$1" | { head -c 4096; tail -c 64; } | base64 -w 0'
  const { stdout } = await nix.run('sh', ['-c', script, 'sh', path])
  const pool = new BufferPool(1024 * 1024)
  let bytes = 0
  let head = Buffer.alloc(0)
  let tail = Buffer.alloc(0)
  for (const block of new NarBlocks(path, pool).blocks()) {
    if (bytes === 0) head = Buffer.from(block.bytes.subarray(0, 4096))
    bytes += block.bytes.length
    tail = Buffer.concat([tail, block.bytes.subarray(-64)]).subarray(-64)
    pool.giveBack(block.buffer)
  }
  expect(Buffer.concat([head, tail]).toString('base64')).toBe(stdout)
  expect(bytes).toBe(Math.ceil(size / 8) * 8 + 112)
})

test('a listing tells where the files are in the archive', () => {
  const path = temporary()
  mkdirSync(path)
  writeFileSync(join(path, 'program'), 'content', { mode: 0o755 })
  symlinkSync('program', join(path, 'link'))
  const pool = new BufferPool(65_536)
  const nar = new NarBlocks(path, pool, true)
  const blocks = [...nar.blocks()].map(({ bytes }) => bytes)
  const whole = Buffer.concat(blocks)
  const { listing } = nar
  if (listing?.type !== 'directory') throw new Error('no directory')
  const program = listing.entries.get('program')
  if (program?.type !== 'regular') throw new Error('no file')
  expect(program).toMatchObject({ size: 7, isExecutable: true })
  expect(whole.subarray(program.narOffset, program.narOffset + 7).toString()).toBe('content')
  expect(listing.entries.get('link')).toEqual({ type: 'symlink', target: 'program' })
})

test.each(['mkfifo "$1"', 'mkdir "$1"; mkfifo "$1/in"'])(
  'what belongs into no archive is refused, and not waited for: %s',
  (script) => {
    const path = temporary()
    execFileSync('sh', ['-c', script, 'sh', path])
    expect(() => narHash(path)).toThrow(/neither a file nor a directory/)
  },
)

test('what can not be read is an error', () => {
  expect(() => narHash('/nowhere')).toThrow(/ENOENT/)
})
