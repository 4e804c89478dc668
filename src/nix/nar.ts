import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../util/user-error.ts'
import { narHashOf } from './nar-hash.ts'
import { encode } from './wire.ts'

const OWNER_MAY_EXECUTE = 0o100

/**
 * The hash of what lies at a path, packed as an archive (nix: src/libutil/archive.cc).
 * @param maxBytes What is in its files is at most so much.
 * @returns As `narHashOf` has it.
 * @throws where it is more, where something in it belongs into no archive, or can't be read.
 */
export function narHashAt(path: string, maxBytes: number): string | undefined {
  const values: (string | Uint8Array)[] = ['nix-archive-1']
  let left = maxBytes
  const pack = (at: string) => {
    const content = contentAt(at, left)
    values.push('(', 'type')
    if (content.kind === 'symlink') values.push('symlink', 'target', content.target)
    else if (content.kind === 'regular') {
      left -= content.bytes.length
      values.push('regular', ...(content.isExecutable ? ['executable', ''] : []), 'contents', content.bytes)
    } else {
      values.push('directory')
      for (const name of readdirSync(at).sort(byBytes)) {
        values.push('entry', '(', 'name', name, 'node')
        pack(join(at, name))
        values.push(')')
      }
    }
    values.push(')')
  }
  pack(path)
  return narHashOf(`sha256-${createHash('sha256').update(encode(values)).digest('base64')}`)
}

type Content =
  | { kind: 'symlink'; target: Buffer }
  | { kind: 'directory' }
  | { kind: 'regular'; bytes: Buffer; isExecutable: boolean }

function contentAt(path: string, maxBytes: number): Content {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) !== 'ELOOP') throw error
    return { kind: 'symlink', target: readlinkSync(path, 'buffer') }
  }
  try {
    const stats = fstatSync(fd)
    if (stats.isDirectory()) return { kind: 'directory' }
    if (!stats.isFile() || stats.size > maxBytes) throw new Error(`not packed: ${path}`)
    return { kind: 'regular', bytes: readFileSync(fd), isExecutable: (stats.mode & OWNER_MAY_EXECUTE) !== 0 }
  } finally {
    closeSync(fd)
  }
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other))
}
