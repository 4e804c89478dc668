// The store of the proofs: a directory with real files in it, which are read, packed and hashed like any others. It is
// the same for all proofs and stays there, since what lies at one of its paths depends on its name alone.

import { execFileSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, realpathSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { basename, join } from 'node:path'
import { NarBlocks } from '../../src/cache/nar/nar-blocks.ts'
import { hashText } from '../../src/nix/nar-hash.ts'
import { BufferPool } from '../../src/util/buffer-pool.ts'
import { storePath as pathInNixStore } from '../spool/temp-spool.ts'

export const STORE = join(realpathSync(tmpdir()), `nix-upload-proof-store-${userInfo().uid}`)

/** Is sent as a stream, since it is larger than what is packed in memory. */
export const LARGE_BYTES = 5_000_000

/** What the store registered a path with. */
export interface Registered {
  narHash: string
  narSize: number
  references: readonly string[]
}

/** A store path of that name; the same one each time. */
export function storePath(name: string): string {
  return join(STORE, basename(pathInNixStore(name)))
}

/** What each refers to. */
const REFERENCES: Readonly<Record<string, readonly string[]>> = {
  delivered: ['delivered', 'shared'],
  claimed: ['shared'],
  shared: ['by-hand'],
}
/** Can't be read: its names are deeper than the longest path that a system call takes. */
const UNREADABLE = 'refused'
const registered = new Map<string, Registered>()

/** Has a path in the store, with what it refers to; returns what it is registered with. */
export function inStore(path: string): Registered {
  const known = registered.get(path)
  if (known) return known
  if (!existsSync(path)) makePath(path)
  const references = (REFERENCES[nameOf(path)] ?? []).map(storePath)
  const content = nameOf(path) === UNREADABLE ? { narHash: hashOf([]), narSize: 1000 } : narOf(path)
  const entry = { ...content, references }
  registered.set(path, entry)
  return entry
}

/** A path and all that it refers to. */
export function closureOf(path: string): string[] {
  const all = new Set([path])
  for (const each of all) for (const reference of inStore(each).references) all.add(reference)
  return [...all]
}

function nameOf(path: string): string {
  return basename(path).slice(33)
}

/** Whoever else makes it at the same time makes the same. */
function makePath(path: string): void {
  mkdirSync(STORE, { recursive: true })
  const temporary = join(STORE, `.${randomUUID()}`)
  const name = nameOf(path)
  if (name === UNREADABLE) makeUnreadable(temporary)
  else if (name === 'large') writeFileSync(temporary, pseudoRandom(LARGE_BYTES))
  else {
    mkdirSync(join(temporary, 'bin'), { recursive: true })
    writeFileSync(join(temporary, 'bin', name), `${path}\n`.repeat(20), { mode: 0o755 })
  }
  try {
    renameSync(temporary, path)
  } catch (error) {
    if (!existsSync(path)) throw error
    execFileSync('rm', ['-rf', temporary])
  }
}

/** From the innermost directory outwards, as no system call takes the whole path. */
function makeUnreadable(path: string): void {
  mkdirSync(path)
  for (let depth = 0; depth < 18; depth++) {
    renameSync(path, `${path}-inner`)
    mkdirSync(path)
    renameSync(`${path}-inner`, join(path, 'n'.repeat(240)))
  }
}

/** Bytes that can't be compressed, the same ones each time. */
function pseudoRandom(size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 64) }, (_, at) =>
    createHash('sha512').update(`${at}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, size)
}

function narOf(path: string): { narHash: string; narSize: number } {
  const pool = new BufferPool(64 * 1024)
  const blocks = [...new NarBlocks(path, pool).blocks()].map(({ bytes }) => bytes)
  return { narHash: hashOf(blocks), narSize: blocks.reduce((sum, { length }) => sum + length, 0) }
}

function hashOf(blocks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const bytes of blocks) hash.update(bytes)
  return hashText(hash.digest())
}
