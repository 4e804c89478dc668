// Serves image files as a FUSE filesystem and writes down, in one log and in their order, all writes and flushes that
// reach them: what a disk gets from a filesystem that is mounted on it by way of a loop device. A program of its own, so
// that whoever mounts never waits for itself. The protocol: linux/fuse.h.
//
//     node recorder.ts DIR NAME...      with /dev/fuse as file 3; serves DIR/NAME, and writes DIR/log

import { fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../../../src/util/user-error.ts'
import * as fuse from './fuse.ts'
import { recordHeader } from './log.ts'

/** What the kernel's requests come through. */
const REQUESTS = 3
const NOTHING = Buffer.alloc(0)

const [dir = '', ...names] = process.argv.slice(2)
const disks = names.map((name) => openSync(join(dir, name), 'r+'))
const log = openSync(join(dir, 'log'), 'a')
const request = Buffer.alloc(fuse.IN_HEADER + fuse.WRITE_HEADER + fuse.MOST_BYTES)

for (let size = next(); size > 0; size = next()) {
  const code = request.readUInt32LE(4)
  if (code === fuse.OP.forget || code === fuse.OP.forgetMany || code === fuse.OP.interrupt) continue
  const reply = answerTo(code, request.readBigUInt64LE(16), request.subarray(fuse.IN_HEADER, size))
  const [error, data] = typeof reply === 'number' ? [reply, NOTHING] : [0, reply]
  writeSync(REQUESTS, fuse.replyTo(request.readBigUInt64LE(8), error, data))
}

/** @returns How long the next request is; 0 once all is unmounted. */
function next(): number {
  for (;;) {
    try {
      return readSync(REQUESTS, request)
    } catch (error) {
      const code = codeOf(error)
      if (code === 'ENODEV') return 0
      if (code !== 'ENOENT' && code !== 'EINTR' && code !== 'EAGAIN') throw error
    }
  }
}

/** @returns What goes behind the header, or an error's number. */
function answerTo(code: number, node: bigint, body: Buffer): Buffer | number {
  const { OP } = fuse
  const disk = fuse.fileOf(node)
  const file = disks[disk]
  switch (code) {
    case OP.init:
      return fuse.initialised(body)
    case OP.lookup: {
      const at = names.indexOf(body.subarray(0, body.indexOf(0)).toString())
      return at === -1 ? fuse.ENOENT : fuse.found(at, sizeOf(disks[at]))
    }
    case OP.getattr:
      return Buffer.concat([Buffer.alloc(16), fuse.attributes(node, sizeOf(file))])
    case OP.open:
    case OP.opendir:
      return fuse.opened()
    case OP.release:
    case OP.releasedir:
    case OP.flush:
    case OP.destroy:
      return NOTHING
    case OP.statfs:
      return Buffer.alloc(80)
    case OP.read:
      return file === undefined
        ? fuse.EIO
        : read(file, Number(body.readBigUInt64LE(8)), body.readUInt32LE(16))
    case OP.write:
      return file === undefined ? fuse.EIO : write(file, disk, body)
    case OP.fsync:
      writeSync(log, recordHeader({ kind: 'flush', disk, offset: 0, size: 0 }))
      return NOTHING
    default:
      return fuse.ENOSYS
  }
}

function read(file: number, offset: number, size: number): Buffer {
  const data = Buffer.alloc(size)
  return data.subarray(0, readSync(file, data, 0, size, offset))
}

function write(file: number, disk: number, body: Buffer): Buffer {
  const [offset, size] = [Number(body.readBigUInt64LE(8)), body.readUInt32LE(16)]
  const data = body.subarray(fuse.WRITE_HEADER, fuse.WRITE_HEADER + size)
  writeSync(file, data, 0, size, offset)
  writeSync(log, Buffer.concat([recordHeader({ kind: 'write', disk, offset, size }), data]))
  return fuse.written(size)
}

function sizeOf(file: number | undefined): number {
  return file === undefined ? 0 : fstatSync(file).size
}
