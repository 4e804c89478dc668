// What the FUSE protocol calls things, and replies of a filesystem that has files in one directory (linux/fuse.h).

export const IN_HEADER = 40
export const OUT_HEADER = 16
export const WRITE_HEADER = 40
/** Requests are at most this large, the headers not counted. */
export const MOST_BYTES = 128 * 1024
const ROOT = 1n
/** Files have the numbers behind the root's. */
const FIRST_FILE = 2
export const [EIO, ENOENT, ENOSYS] = [5, 2, 38]
/** What the kernel asks for, by number. */
export const OP = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  releasedir: 29,
  interrupt: 36,
  destroy: 38,
  forgetMany: 42,
}
const DIRECT_IO = 1
const DIRECTORY_MODE = 0o040700
const FILE_MODE = 0o100600

/** Which file of the directory a request is about, counted from 0. */
export function fileOf(node: bigint): number {
  return Number(node) - FIRST_FILE
}

/** @param error An error's number, or 0. */
export function replyTo(unique: bigint, error: number, data: Buffer): Buffer {
  const header = Buffer.alloc(OUT_HEADER)
  header.writeUInt32LE(OUT_HEADER + data.length, 0)
  header.writeInt32LE(-error, 4)
  header.writeBigUInt64LE(unique, 8)
  return Buffer.concat([header, data])
}

/** @param body What the kernel offers. */
export function initialised(body: Buffer): Buffer {
  const reply = Buffer.alloc(64)
  reply.writeUInt32LE(7, 0)
  reply.writeUInt32LE(31, 4)
  body.copy(reply, 8, 8, 12)
  reply.writeUInt32LE(1 << 5, 12) // writes of more than a page
  reply.writeUInt16LE(16, 16)
  reply.writeUInt16LE(12, 18)
  reply.writeUInt32LE(MOST_BYTES, 20)
  reply.writeUInt32LE(1, 24)
  return reply
}

/** The kernel keeps nothing of a file in its cache, so each of its reads and writes is a request. */
export function opened(): Buffer {
  const reply = Buffer.alloc(16)
  reply.writeUInt32LE(DIRECT_IO, 8)
  return reply
}

export function written(size: number): Buffer {
  const reply = Buffer.alloc(8)
  reply.writeUInt32LE(size, 0)
  return reply
}

/** @param file Its number in the directory. */
export function found(file: number, size: number): Buffer {
  const entry = Buffer.alloc(40)
  const node = BigInt(file + FIRST_FILE)
  entry.writeBigUInt64LE(node, 0)
  return Buffer.concat([entry, attributes(node, size)])
}

/** @param size In bytes; 0 for the directory. */
export function attributes(node: bigint, size: number): Buffer {
  const reply = Buffer.alloc(88)
  reply.writeBigUInt64LE(node, 0)
  reply.writeBigUInt64LE(BigInt(size), 8)
  reply.writeBigUInt64LE(BigInt(Math.ceil(size / 512)), 16)
  reply.writeUInt32LE(node === ROOT ? DIRECTORY_MODE : FILE_MODE, 60)
  reply.writeUInt32LE(1, 64)
  reply.writeUInt32LE(4096, 80)
  return reply
}
