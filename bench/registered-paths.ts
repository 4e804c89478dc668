// Store paths by the thousand: written into the store and registered there, since building each would take minutes.

import { createHash, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NarBlocks } from '../src/cache/nar/nar-blocks.ts'
import { BufferPool } from '../src/util/buffer-pool.ts'
import type { PrivateNix } from '../test/support/private-nix.ts'
import { must } from '../test/support/run.ts'

const DIGITS = '0123456789abcdfghijklmnpqrsvwxyz'
const HASH_LENGTH = 32
const pool = new BufferPool(512 * 1024)

/** What is to lie at a path: one file. */
export interface Wanted {
  content: Uint8Array
  references: readonly string[]
}

/** Where a path may be made. */
export function newPath({ storeDir }: PrivateNix, name: string): string {
  const hash = [...randomBytes(HASH_LENGTH)].map((byte) => DIGITS[byte % DIGITS.length]).join('')
  return join(storeDir, `${hash}-${name}`)
}

/** Makes paths valid that were chosen with `newPath`. */
export async function register(nix: PrivateNix, paths: ReadonlyMap<string, Wanted>): Promise<void> {
  await mkdir(nix.storeDir, { recursive: true })
  let registration = ''
  for (const [path, { content, references }] of paths) {
    await writeFile(path, content)
    const { hash, size } = narOf(path)
    registration += [path, hash, size, '', references.length, ...references, ''].join('\n')
  }
  const args = ['--register-validity', '--hash-given']
  must(await nix.run('nix-store', args, { input: registration }), 'register paths')
}

function narOf(path: string): { hash: string; size: number } {
  const hash = createHash('sha256')
  let size = 0
  for (const { bytes, buffer } of new NarBlocks(path, pool).blocks()) {
    hash.update(bytes)
    size += bytes.length
    pool.giveBack(buffer)
  }
  return { hash: hash.digest('hex'), size }
}
