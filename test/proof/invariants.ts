// What must be so at any moment, whatever was killed, failed, moved or lost: named, and checked here and nowhere
// else. Every proof in this directory ends in `violations`.

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { rootKey } from '../../src/nix/gc-roots.ts'
import type { Job } from '../../src/spool/job.ts'
import { parseJob } from '../../src/spool/job-file.ts'
import { type Spool, STATES, type State } from '../../src/spool/layout.ts'
import { mayBeJob } from '../../src/spool/read.ts'
import { halvesIn } from './cache-check.ts'

/** What a test put into a spool, or had put there by the hook or a command. */
export interface Handed {
  name: string
  /** Its content when it was handed over. */
  bytes: Buffer
  /** True where it had its GC roots when it was handed over. */
  isRooted: boolean
}

/** Where things are, and who to ask. */
export interface Ground {
  spool: Spool
  /** The GC-root directory. */
  gcroots: string
  storeDir: string
  /** Asks the destination whether it has a store path. */
  hasArrived: (storePath: string) => boolean
  /** The directory of the destination, where it is a `file://` cache that nobody else writes. */
  cache?: string
  handed: readonly Handed[]
  /** Files that are nobody's jobs, by path, and what was in them. */
  foreign: ReadonlyMap<string, Buffer>
}

/** `crashed`: nothing has cleaned up yet. `recovered`: a daemon was there since, and went through all that waited. */
export type Moment = 'crashed' | 'recovered'

/** A file in one of the four states. */
interface Found {
  state: State
  name: string
  bytes: Buffer
  /** Undefined where it is no valid job. */
  job: Job | undefined
  /** What was handed over as this file. */
  origin: Handed | undefined
}

/** What lies where, read once for all checks. */
interface View {
  ground: Ground
  moment: Moment
  found: readonly Found[]
  /** The store paths that are rooted, by what their roots are named after. */
  roots: ReadonlyMap<string, ReadonlySet<string>>
  notes: ReadonlySet<string>
}

interface Invariant {
  name: string
  /** Says what is against it, each in a line. */
  check: (view: View) => string[]
}

export const INVARIANTS: readonly Invariant[] = [
  {
    name: 'every job is in exactly one place',
    check: ({ ground, found }) => {
      const placesOf = Map.groupBy(found, ({ origin }) => origin)
      return ground.handed.flatMap((one) => {
        const places = placesOf.get(one) ?? []
        const where = places.map((file) => `${file.state}/${file.name}`).join(', ')
        return places.length === 1 ? [] : [`${one.name} is in ${where || 'no place'}`]
      })
    },
  },
  {
    name: 'nothing is partial outside tmp/',
    check: ({ ground, found }) =>
      found.flatMap(({ state, name, bytes, job }) =>
        job || ground.handed.some((one) => one.bytes.equals(bytes))
          ? []
          : [
              `${state}/${name} is no job and not what was handed over: ${bytes.toString('latin1').slice(0, 60)}`,
            ],
      ),
  },
  {
    name: 'what is in done/ has arrived',
    check: ({ ground, found }) =>
      found
        .filter(({ state }) => state === 'done')
        .flatMap(({ name, job }) => {
          const isSkipped = Object.values(job?.destinations ?? {}).some(({ state }) => state === 'skipped')
          const lacking = isSkipped ? [] : (job?.outPaths ?? []).filter((path) => !ground.hasArrived(path))
          return lacking.map((path) => `done/${name}, and the destination does not have ${path}`)
        }),
  },
  {
    name: 'what is in the cache is whole',
    check: ({ ground: { cache } }) => (cache === undefined ? [] : halvesIn(cache)),
  },
  {
    name: 'a job has its GC roots as long as it lives',
    check: ({ found, roots }) =>
      found
        .filter(({ state }) => state !== 'done')
        .flatMap((file) => {
          const { state, name, job, origin } = file
          const isExpected = origin?.isRooted
          // A job that was given back as X~1 keeps the roots of X until it is claimed.
          const held = [name, baseOf(name)].flatMap((each) => [...(roots.get(rootKey(each)) ?? [])])
          const lacking = isExpected ? (job?.outPaths ?? []).filter((path) => !held.includes(path)) : []
          return lacking.map((path) => `${state}/${name} has no root for ${path}`)
        }),
  },
  {
    name: 'foreign files are as they were',
    check: ({ ground }) =>
      [...ground.foreign].flatMap(([path, bytes]) => {
        if (!existsSync(path)) return [`${path} is gone`]
        return readFileSync(path).equals(bytes) ? [] : [`${path} was changed`]
      }),
  },
  {
    name: 'what was known of a job is kept, over a requeue in its history',
    check: ({ ground, found }) =>
      found.flatMap((file) => {
        const { state, name, bytes, job, origin: one } = file
        const before = one && parsed(one.bytes, ground.storeDir)
        if (!one || !before || !job || one.bytes.equals(bytes)) return []
        return forgotten(before, job).map((what) => `${state}/${name} has forgotten ${what}`)
      }),
  },
  {
    name: 'what is no job is kept as it was, in failed/ with a note that says why',
    check: ({ ground, moment, found, notes }) =>
      found.flatMap((file) => {
        const { state, name, bytes, job, origin: one } = file
        if (job || !one || parsed(one.bytes, ground.storeDir)) return []
        const at = `${state}/${name}`
        if (!one.bytes.equals(bytes)) return [`${at} was changed`]
        if (moment === 'crashed') return []
        if (state !== 'failed') return [`${at} should be in failed/`]
        return notes.has(`${name}.reason`) ? [] : [`${at} has no note`]
      }),
  },
]

/** What is not as it must be: each a line that begins with the invariant's name. None is right. */
export function violations(ground: Ground, moment: Moment): string[] {
  const view = viewOf(ground, moment)
  return INVARIANTS.flatMap(({ name, check }) => check(view).map((what) => `${name}: ${what}`))
}

/** A job's name without the `~1`, `~2`, … that it got where its name was taken. */
function baseOf(name: string): string {
  return name.replace(/(~\d+)+(?=\.json$|$)/, '')
}

/** What was handed over as a file: of those of its name, where there are several, by what it is to upload. */
function originOf(
  named: readonly Handed[],
  storeDir: string,
  bytes: Buffer,
  job: Job | undefined,
): Handed | undefined {
  if (named.length < 2) return named[0]
  return named.find(
    (one) => one.bytes.equals(bytes) || (job && isSame(parsed(one.bytes, storeDir)?.outPaths, job.outPaths)),
  )
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}

function viewOf(ground: Ground, moment: Moment): View {
  const { spool, gcroots, storeDir } = ground
  const byName = Map.groupBy(ground.handed, ({ name }) => name)
  const found = STATES.flatMap((state) =>
    readdirSync(spool[state])
      .filter((name) => mayBeJob(name) && !ground.foreign.has(join(spool[state], name)))
      .map((name): Found => {
        const bytes = readFileSync(join(spool[state], name))
        const job = parsed(bytes, storeDir)
        const origin = originOf(byName.get(baseOf(name)) ?? [], storeDir, bytes, job)
        return { state, name, bytes, job, origin }
      }),
  )
  const roots = new Map<string, Set<string>>()
  for (const name of existsSync(gcroots) ? readdirSync(gcroots) : []) {
    if (ground.foreign.has(join(gcroots, name))) continue
    const key = name.slice(0, -33)
    roots.set(key, (roots.get(key) ?? new Set()).add(readlinkSync(join(gcroots, name))))
  }
  const notes = new Set(readdirSync(spool.failed).filter((name) => name.endsWith('.reason')))
  return { ground, moment, found, roots, notes }
}

function parsed(bytes: Buffer, storeDir: string): Job | undefined {
  try {
    return parseJob(bytes, storeDir)
  } catch {
    return undefined
  }
}

/** What a job does not say any more: its paths, its earlier rounds, keys of others, what it failed with. */
function forgotten(before: Job, after: Job): string[] {
  const missing: string[] = []
  if (before.outPaths.some((path) => !after.outPaths.includes(path))) missing.push('some of its paths')
  if (before.drvPath !== after.drvPath) missing.push('its derivation')
  for (const [at, entry] of before.history.entries()) {
    if (JSON.stringify(after.history[at]) !== JSON.stringify(entry))
      missing.push(`round ${at} of its history`)
  }
  const OURS = new Set(['destinations', 'history', 'outPaths', 'drvPath'])
  for (const [key, value] of Object.entries(before.raw)) {
    if (!OURS.has(key) && JSON.stringify(after.raw[key]) !== JSON.stringify(value)) missing.push(`"${key}"`)
  }
  for (const [destination, record] of Object.entries(before.destinations)) {
    const now = after.destinations[destination]
    const isGoneOnWith = record.state === 'waiting' && now !== undefined && now.attempts >= record.attempts
    const isKept = isGoneOnWith || JSON.stringify(now) === JSON.stringify(record)
    const isInHistory = after.history
      .slice(before.history.length)
      .some((entry) => JSON.stringify(entry.destinations[destination]) === JSON.stringify(record))
    if (!isInHistory && !isKept) missing.push(`how it went at ${destination}`)
  }
  return missing
}
