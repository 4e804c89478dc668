import { spawn } from 'node:child_process'
import { Duplex, PassThrough } from 'node:stream'
import {
  brotliCompressSync,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  gzipSync,
  constants as zlib,
  zstdCompressSync,
} from 'node:zlib'
import type { Compression } from '../../config/compression.ts'

/** Small buffers have reading and compressing take turns. */
const STREAM = { chunkSize: 256 * 1024, highWaterMark: 1024 * 1024 }

/**
 * Compresses something small.
 * @returns A buffer of exactly its size: zlib itself returns a part of a buffer of `chunkSize`.
 */
export function compressAtOnce(
  nar: Buffer<ArrayBuffer>,
  { by, level }: Compression,
): Uint8Array<ArrayBuffer> {
  switch (by) {
    case 'zstd':
      return ownMemory(zstdCompressSync(nar, { ...zstdOptions(level), chunkSize: roomFor(nar.length) }))
    case 'gzip':
      return ownMemory(gzipSync(nar, { ...gzipOptions(level), chunkSize: roomFor(nar.length) }))
    case 'brotli':
      return ownMemory(brotliCompressSync(nar, { ...brotliOptions(level), chunkSize: roomFor(nar.length) }))
    default:
      return Uint8Array.from(nar)
  }
}

/** Incompressible data gets a little larger. */
export function roomFor(bytes: number): number {
  return bytes + (bytes >> 7) + 1024
}

function ownMemory(bytes: Buffer<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  // Small buffers share memory.
  const isShared = bytes.byteOffset > 0 || bytes.buffer.byteLength === Buffer.poolSize
  return isShared ? Uint8Array.from(bytes) : new Uint8Array(bytes.buffer.transfer(bytes.length))
}

/** @returns A stream that compresses; undefined if nothing is to be compressed. */
export function compressorFor({ by, level }: Compression): Duplex | undefined {
  switch (by) {
    case 'nothing':
      return undefined
    case 'zstd':
      return createZstdCompress({ ...zstdOptions(level), ...STREAM })
    case 'gzip':
      return createGzip({ ...gzipOptions(level), ...STREAM })
    case 'brotli':
      return createBrotliCompress({ ...brotliOptions(level), ...STREAM })
    default:
      return programStream(by.program, by.args)
  }
}

function zstdOptions(level: number | undefined) {
  return { params: level === undefined ? {} : { [zlib.ZSTD_c_compressionLevel]: level } }
}

function gzipOptions(level: number | undefined) {
  return level === undefined ? {} : { level }
}

function brotliOptions(level: number | undefined) {
  return { params: level === undefined ? {} : { [zlib.BROTLI_PARAM_QUALITY]: level } }
}

/** A program that compresses its standard input; the stream ends only where the program succeeded. */
function programStream(program: string, args: readonly string[]): Duplex {
  // In a process group of its own: a Ctrl-C is meant for us. It ends with its input, too.
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'], detached: true })
  const readable = new PassThrough()
  child.stdout.pipe(readable, { end: false })
  child.once('error', (error) => readable.destroy(error))
  child.once('close', (code) => {
    if (code === 0) readable.end()
    else readable.destroy(new Error(`the program ${program} failed (${code ?? 'it was ended by a signal'})`))
  })
  const stream = Duplex.from({ writable: child.stdin, readable })
  stream.once('close', () => child.kill())
  return stream
}
