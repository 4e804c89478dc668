// Serves image files as a FUSE filesystem and writes down, in one log and in their order, all writes and flushes that
// reach them: what a disk gets from a filesystem that is mounted on it by way of a loop device. A program of its own, so
// that whoever mounts never waits for itself. The protocol: linux/fuse.h.
//
//     node recorder.ts DIR NAME...      with /dev/fuse as file 3; serves DIR/NAME, and writes DIR/log

import { openSync, readSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { recordHeader } from './log.ts'

const FUSE = 3
const IN_HEADER = 40
const OUT_HEADER = 16
const WRITE_HEADER = 40
const ROOT = 1n
/** Requests are at most this large, the header not counted. */
const MOST_BYTES = 128 * 1024
const [EIO, ENOENT, ENOSYS] = [5, 2, 38]
/** What the kernel asks for, by number. */
const OP = {
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

const [dir = '', ...names] = process.argv.slice(2)
const disks = names.map((name) => openSync(join(dir, name), 'r+'))
const log = openSync(join(dir, 'log'), 'a')
const request = Buffer.alloc(MOST_BYTES + IN_HEADER + WRITE_HEADER)

for (;;) {
  const size = next()
  if (size === 0) break
  const [code, unique, node] = [
    request.readUInt32LE(4),
    request.readBigUInt64LE(8),
    request.readBigUInt64LE(16),
  ]
  if (code === OP.forget || code === OP.forgetMany || code === OP.interrupt) continue
  const reply = answerTo(code, node, request.subarray(IN_HEADER, size))
  const [error, data] = typeof reply === 'number' ? [-reply, Buffer.alloc(0)] : [0, reply]
  const header = Buffer.alloc(OUT_HEADER)
  header.writeUInt32LE(OUT_HEADER + data.length, 0)
  header.writeInt32LE(error, 4)
  header.writeBigUInt64LE(unique, 8)
  writeSync(FUSE, Buffer.concat([header, data]))
}

/** @returns 0 once it is unmounted. */
function next(): number {
  for (;;) {
    try {
      return readSync(FUSE, request)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'ENODEV') return 0
      if (code !== 'ENOENT' && code !== 'EINTR' && code !== 'EAGAIN') throw error
    }
  }
}

/** @returns What goes behind the header, or an error's number. */
function answerTo(code: number, node: bigint, body: Buffer): Buffer | number {
  const disk = disks[Number(node) - 2]
  switch (code) {
    case OP.init:
      return init(body)
    case OP.lookup:
      return lookup(body.subarray(0, body.indexOf(0)).toString())
    case OP.getattr:
      return Buffer.concat([Buffer.alloc(16), attributes(node)])
    case OP.open:
    case OP.opendir: {
      const opened = Buffer.alloc(16)
      opened.writeUInt32LE(code === OP.open ? DIRECT_IO : 0, 8)
      return opened
    }
    case OP.release:
    case OP.releasedir:
    case OP.flush:
    case OP.destroy:
      return Buffer.alloc(0)
    case OP.statfs:
      return Buffer.alloc(80)
    case OP.read: {
      if (disk === undefined) return EIO
      const data = Buffer.alloc(body.readUInt32LE(16))
      return data.subarray(0, readSync(disk, data, 0, data.length, Number(body.readBigUInt64LE(8))))
    }
    case OP.write: {
      if (disk === undefined) return EIO
      const [offset, size] = [Number(body.readBigUInt64LE(8)), body.readUInt32LE(16)]
      const data = body.subarray(WRITE_HEADER, WRITE_HEADER + size)
      writeSync(disk, data, 0, size, offset)
      writeSync(
        log,
        Buffer.concat([recordHeader({ kind: 'write', disk: Number(node) - 2, offset, size }), data]),
      )
      const written = Buffer.alloc(8)
      written.writeUInt32LE(size, 0)
      return written
    }
    case OP.fsync:
      writeSync(log, recordHeader({ kind: 'flush', disk: Number(node) - 2, offset: 0, size: 0 }))
      return Buffer.alloc(0)
    default:
      return ENOSYS
  }
}

function init(body: Buffer): Buffer {
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

function lookup(name: string): Buffer | number {
  const at = names.indexOf(name)
  if (at === -1) return ENOENT
  const entry = Buffer.alloc(40)
  const node = BigInt(at + 2)
  entry.writeBigUInt64LE(node, 0)
  return Buffer.concat([entry, attributes(node)])
}

function attributes(node: bigint): Buffer {
  const attributes = Buffer.alloc(88)
  const name = names[Number(node) - 2]
  const size = node === ROOT || name === undefined ? 0 : statSync(join(dir, name)).size
  attributes.writeBigUInt64LE(node, 0)
  attributes.writeBigUInt64LE(BigInt(size), 8)
  attributes.writeBigUInt64LE(BigInt(Math.ceil(size / 512)), 16)
  attributes.writeUInt32LE(node === ROOT ? DIRECTORY_MODE : FILE_MODE, 60)
  attributes.writeUInt32LE(1, 64)
  attributes.writeUInt32LE(4096, 80)
  return attributes
}
