// The filesystems that power cuts are tried on.

import { execFileSync } from 'node:child_process'
import { accessSync, readFileSync } from 'node:fs'

export const KINDS = ['ext4', 'xfs', 'btrfs'] as const
export type Kind = (typeof KINDS)[number]

/** Why there can be no disks with such a filesystem on this machine; undefined where there can. */
export function whyNoDisks(kind: Kind): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting takes root'
  for (const device of ['/dev/loop-control', '/dev/fuse']) {
    try {
      accessSync(device)
    } catch {
      return `there is no ${device}`
    }
  }
  const known = readFileSync('/proc/filesystems', 'utf8').split(/\s+/)
  if (!known.includes(kind)) return `this kernel has no ${kind}`
  try {
    execFileSync(`mkfs.${kind}`, ['-V'], { stdio: 'ignore' })
  } catch {
    return `there is no mkfs.${kind}`
  }
  return undefined
}
