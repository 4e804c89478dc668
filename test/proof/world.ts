// A spool with jobs of every fate, as an earlier daemon, the hook and people may have left it, with GC roots, a
// stand-in for Nix and a destination. Each run of a proof gets one of its own.

import {
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { GcRoots, rootKey } from '../../src/nix/gc-roots.ts'
import { hashOf } from '../../src/nix/store-path.ts'
import { type Spool, STATES, type State, spoolAt } from '../../src/spool/layout.ts'
import { ABANDONED_MS, sweepTemporaries } from '../../src/spool/sweep.ts'
import { sweepRoots } from '../../src/spool/sweep-roots.ts'
import { isInCache } from './cache-check.ts'
import type { Ground, Handed } from './invariants.ts'
import { makeStandIn } from './stand-in.ts'
import { STORE, storePath } from './store.ts'
import { type Program, temporariesIn } from './strace.ts'

export const NIX_UPLOAD = fileURLToPath(new URL('../../bin/nix-upload', import.meta.url))
export const HOOK = fileURLToPath(new URL('../../bin/nix-upload-hook', import.meta.url))
const REQUEUED = {
  state: 'failed',
  attempts: 8,
  error: 'refused: too large',
  settledAt: '2026-11-20T03:14:02Z',
}
const TRIED = { state: 'waiting', attempts: 2, error: 'was reset', lastAttemptAt: '2026-11-20T03:14:02Z' }

/** A job, where it is put, and where it must be once a daemon could do its work. */
export interface Fate {
  name: string
  at: State
  bytes: string
  isRooted: boolean
  ends: State
}

const job = (name: string, more: object = {}) =>
  `${JSON.stringify({ version: 1, outPaths: [storePath(name)], queuedAt: '2026-11-22T03:14:02Z', ...more })}\n`
const DRV = `${storePath('looked-up')}.drv`
const WRITTEN = new Date('2026-11-22T03:14:02Z')

/** A job of a path that can be uploaded. */
export function fateOf(name: string): Fate {
  return { name: `i-${name}.json`, at: 'new', bytes: job(name), isRooted: true, ends: 'done' }
}

/** One job for each way that a job can go. */
export const FATES: readonly Fate[] = [
  {
    name: 'a-delivered.json',
    at: 'new',
    bytes: job('delivered', { note: 'mine' }),
    isRooted: true,
    ends: 'done',
  },
  {
    name: 'b-invalid.json',
    at: 'new',
    bytes: '{"outPaths":["/etc/passwd"]}',
    isRooted: false,
    ends: 'failed',
  },
  { name: 'c-gone.json', at: 'new', bytes: job('gone'), isRooted: true, ends: 'failed' },
  { name: 'd-claimed.json', at: 'cur', bytes: job('claimed'), isRooted: true, ends: 'done' },
  {
    name: 'e-requeued.json',
    at: 'new',
    bytes: job('requeued', { destinations: { default: REQUEUED } }),
    isRooted: true,
    ends: 'done',
  },
  // Refused for now, each time it is tried: T3 and T7.
  {
    name: 'f-refused.json',
    at: 'new',
    bytes: job('refused', { destinations: { default: TRIED } }),
    isRooted: true,
    ends: 'new',
  },
  {
    name: 'g-looked-up.json',
    at: 'new',
    bytes: JSON.stringify({ drvPath: DRV }),
    isRooted: false,
    ends: 'done',
  },
  { name: 'h-by-hand.json', at: 'new', bytes: job('by-hand'), isRooted: false, ends: 'done' },
]
/** Is not in memory at any moment, but streams from the store to the cache. */
export const LARGE = fateOf('large')

export const VALID = [
  'delivered',
  'claimed',
  'requeued',
  'refused',
  'looked-up',
  'by-hand',
  'x',
  'y',
  'z',
  'large',
].map(storePath)

/** The store paths that a text names. */
export function pathsIn(text: string): string[] {
  return text.match(new RegExp(`${STORE}/[\\w-]+`, 'g')) ?? []
}

export class World {
  readonly dir: string
  readonly spool: Spool
  readonly gcroots: string
  readonly cache: string
  readonly env: Record<string, string>
  readonly handed: Handed[] = []
  readonly foreign = new Map<string, Buffer>()

  /** An empty spool, and files in and around it that are nobody's jobs. */
  constructor() {
    this.dir = realpathSync(mkdtempSync(join(tmpdir(), 'nix-upload-proof-')))
    this.spool = spoolAt(join(this.dir, 'spool'))
    this.gcroots = join(this.dir, 'gcroots')
    this.cache = join(this.dir, 'disk/cache')
    for (const path of [this.spool.root, this.gcroots, dirname(this.cache), join(this.dir, 'tmp')])
      mkdirSync(path)
    for (const state of ['tmp', ...STATES] as const) mkdirSync(this.spool[state])
    const { bin, env } = makeStandIn(this.dir, VALID, { [DRV]: [storePath('looked-up')] })
    this.env = {
      PATH: [bin, dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter),
      NIX_STORE_DIR: STORE,
      NIX_UPLOAD_SPOOL: this.spool.root,
      NIX_UPLOAD_GCROOTS: this.gcroots,
      TMPDIR: join(this.dir, 'tmp'),
      NODE_COMPILE_CACHE: join(tmpdir(), 'nix-upload-proof-compiled'),
      ...env,
    }
    for (const path of [
      join(this.spool.root, 'notes.txt'),
      join(this.spool.new, '.keep'),
      join(this.spool.cur, '.nfs0001'),
      join(this.spool.done, '.keep'),
      join(this.gcroots, 'README'),
    ]) {
      this.foreign.set(path, Buffer.from(`nobody's: ${path}\n`))
      writeFileSync(path, `nobody's: ${path}\n`)
    }
  }

  /** Puts the jobs of every fate there. */
  settle(fates: readonly Fate[] = FATES): this {
    for (const fate of fates) this.put(fate)
    return this
  }

  put({ name, at, bytes, isRooted }: Omit<Fate, 'ends'>): void {
    const file = join(this.spool[at], name)
    writeFileSync(file, bytes)
    // Nobody may still be writing it: a daemon would wait three seconds before it calls it no valid job.
    utimesSync(file, WRITTEN, WRITTEN)
    const handed = { name, bytes: Buffer.from(bytes), isRooted }
    this.handed.push(handed)
    if (!isRooted) return
    for (const path of pathsIn(bytes)) symlinkSync(path, this.root(name, path))
  }

  root(name: string, path: string): string {
    return join(this.gcroots, `${rootKey(name)}.${hashOf(path)}`)
  }

  get ground(): Ground {
    const { spool, gcroots, handed, foreign } = this
    return {
      spool,
      gcroots,
      storeDir: STORE,
      hasArrived: (path) => isInCache(this.cache, path),
      cache: this.cache,
      handed,
      foreign,
    }
  }

  /** The command, and what of the disk it is watched on. */
  program(args: readonly string[], input?: string): Program {
    const { dir, env, spool, gcroots } = this
    const names = [
      ...this.handed.map(({ name }) => name),
      ...[...this.foreign.keys()].map((path) => basename(path)),
    ]
    const inStates = STATES.flatMap((state) =>
      names.flatMap((name) => [name, `${name}.reason`]).map((name) => join(spool[state], name)),
    )
    const roots = names.flatMap((name) =>
      [...VALID, storePath('gone'), DRV].map((path) => this.root(name, path)),
    )
    const paths = [
      ...[
        spool.root,
        spool.tmp,
        ...STATES.map((state) => spool[state]),
        gcroots,
        spool.reportFile,
        spool.lockDir,
      ],
      ...[...temporariesIn(spool.tmp), ...inStates, ...roots],
    ]
    return {
      command: NIX_UPLOAD,
      args: [...args],
      env,
      dir,
      paths,
      ...(input === undefined ? {} : { input }),
    }
  }

  /** Lets ten seconds pass for the lock of a daemon that was killed before it could say who it is. */
  ageLock(): void {
    try {
      utimesSync(this.spool.lockDir, 0, 0)
    } catch {
      // There is none.
    }
  }

  /** Lets 37 hours pass for all that a crash may have left, and sweeps it (T10, T11). */
  async sweep(): Promise<void> {
    const then = (Date.now() - 37 * 3_600_000) / 1000
    for (const name of readdirSync(this.gcroots)) lutimesSync(join(this.gcroots, name), then, then)
    await sweepTemporaries(this.spool, Date.now() + ABANDONED_MS + 3_600_000)
    await sweepRoots(this.spool, new GcRoots(this.gcroots))
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}
