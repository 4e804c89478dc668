// The log of all that reached some disks, in its order.

import { readFileSync } from 'node:fs'

/** A write of some bytes, or a flush of a disk's cache, behind which all writes before it are certain. */
export interface Entry {
  kind: 'write' | 'flush'
  /** Which disk, by its number. */
  disk: number
  offset: number
  size: number
}
/** With what was written, and where in the log the record ends. */
export interface Recorded extends Entry {
  data: Buffer
  end: number
}

export const RECORD_BYTES = 24

export function recordHeader({ kind, disk, offset, size }: Entry): Buffer {
  const header = Buffer.alloc(RECORD_BYTES)
  header.writeUInt32LE(kind === 'write' ? 1 : 2, 0)
  header.writeUInt32LE(disk, 4)
  header.writeBigUInt64LE(BigInt(offset), 8)
  header.writeUInt32LE(size, 16)
  return header
}

export function readLog(path: string): Recorded[] {
  const log = readFileSync(path)
  const records: Recorded[] = []
  for (let at = 0; at + RECORD_BYTES <= log.length; ) {
    const size = log.readUInt32LE(at + 16)
    const end = at + RECORD_BYTES + size
    records.push({
      kind: log.readUInt32LE(at) === 1 ? 'write' : 'flush',
      disk: log.readUInt32LE(at + 4),
      offset: Number(log.readBigUInt64LE(at + 8)),
      size,
      data: log.subarray(at + RECORD_BYTES, end),
      end,
    })
    at = end
  }
  return records
}
