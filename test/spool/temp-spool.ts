// Real spools in temporary directories, and what tests put into them.

import { createHash } from 'node:crypto'
import {
  chmodSync,
  lchownSync,
  lutimesSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { GcRoots, rootKey } from '../../src/nix/gc-roots.ts'
import { hashOf } from '../../src/nix/store-path.ts'
import { type ClaimedJob, claim } from '../../src/spool/claim.ts'
import type { DeliveryRecord } from '../../src/spool/job.ts'
import { openSpool, type Spool, type State } from '../../src/spool/layout.ts'

export const STORE = '/nix/store'
export const HOUR = 3600_000
const NOBODY = 65534

/** A directory that goes with the test. */
export function tempDir(): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'nix-upload-spool-')))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export interface TempSpool {
  dir: string
  spool: Spool
  roots: GcRoots
}

/** An empty spool and an empty GC-root directory. */
export function tempSpool(): TempSpool {
  const dir = tempDir()
  const roots = new GcRoots(join(dir, 'gcroots'))
  roots.prepare()
  return { dir, spool: openSpool(join(dir, 'spool')), roots }
}

/** A store path of that name; the same one each time. */
export function storePath(name: string): string {
  const digest = createHash('sha256').update(name).digest()
  const hash = [...digest].map((byte) => '0123456789abcdfghijklmnpqrsvwxyz'[byte % 32]).join('')
  return `${STORE}/${hash}-${name}`
}

/** A job's content, ready to be put into a file. */
export function jobText(name = 'hello', more: object = {}): string {
  return `${JSON.stringify({ version: 1, outPaths: [storePath(name)], queuedAt: '2026-11-22T03:14:02Z', ...more })}\n`
}

export const DELIVERED: DeliveryRecord = { state: 'done', attempts: 0, settledAt: '2026-11-22T03:15:00Z' }
export const GIVEN_UP: DeliveryRecord = { state: 'failed', attempts: 8, error: 'refused: too large' }

/** Puts a file there, and tells its path. */
export function put(spool: Spool, where: State | 'tmp', name: string, content = jobText()): string {
  const path = join(spool[where], name)
  writeFileSync(path, content)
  return path
}

/** Makes something look as if it had last been written so long ago. */
export function age(path: string, ms: number): void {
  const seconds = (Date.now() - ms) / 1000
  lutimesSync(path, seconds, seconds)
}

/** Makes a GC root as the hook does. */
export function putRoot({ dir }: TempSpool, job: string, path = storePath('hello'), ageMs = 0): void {
  const root = join(dir, 'gcroots', `${rootKey(job)}.${hashOf(path)}`)
  symlinkSync(path, root)
  age(root, ageMs)
}

/** The names in all five directories, but for those of empty ones. */
export function tree(spool: Spool): Record<string, string[]> {
  const states = ['tmp', 'new', 'cur', 'done', 'failed'] as const
  const names = states.map((state): [string, string[]] => [state, readdirSync(spool[state]).sort()])
  return Object.fromEntries(names.filter(([, entries]) => entries.length > 0))
}

/** What GC roots there are named after, one a root. */
export function rooted({ roots }: TempSpool): string[] {
  return [...roots.entries()].map(({ key }) => key).sort()
}

export function contentOf(spool: Spool, state: State, name: string): string {
  return readFileSync(join(spool[state], name), 'utf8')
}

/** Claims what must be there to claim. */
export function claimIt({ spool, roots }: TempSpool, name: string): ClaimedJob {
  const look = claim(spool, roots, STORE, name, () => true)
  if (look.kind !== 'claimed') throw new Error(`${name} is not claimed but ${look.kind}`)
  return look.claimed
}

/**
 * Acts while nothing can be put into or taken out of a directory: whatever comes to that point goes no further, as
 * if it had been killed there. Root may write anywhere, so root acts as nobody for that time.
 */
export function frozen<T>({ dir }: { dir: string }, path: string, act: () => T): T {
  return unprivileged(dir, () => {
    chmodSync(path, 0o555)
    try {
      return act()
    } finally {
      chmodSync(path, 0o755)
    }
  })
}

/** Acts without root's right to read and write everything. */
export function unprivileged<T>(dir: string, act: () => T): T {
  if (process.geteuid?.() !== 0) return act()
  for (const path of [
    dir,
    ...readdirSync(dir, { recursive: true, encoding: 'utf8' }).map((name) => join(dir, name)),
  ]) {
    lchownSync(path, NOBODY, NOBODY)
  }
  process.seteuid?.(NOBODY)
  try {
    return act()
  } finally {
    process.seteuid?.(0)
  }
}
