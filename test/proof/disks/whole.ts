// What must be so on the disks after a power cut, and when a daemon has gone on.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, utimesSync } from 'node:fs'
import { basename, join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { narinfoName, parseNarInfo } from '../../../src/cache/narinfo.ts'
import { hashText } from '../../../src/nix/nar-hash.ts'
import { STATES, spoolAt } from '../../../src/spool/layout.ts'
import { isInCache } from '../cache-check.ts'
import { type Ground, type Moment, violations } from '../invariants.ts'
import type { Bed } from './bed.ts'
import type { Run } from './run.ts'

/** What is said of a job that has two names. */
const TWICE = /^every job is in exactly one place: (\S+) is in \w+\/\S+, \w+\/\S+$/

/**
 * What is not as it must be, each in a line.
 * @param end How much had reached the disks when the power went.
 */
export function wrongIn(bed: Bed, { jobs, requeued }: Run, end: number, moment: Moment): string[] {
  const { site, cache } = bed
  const spool = spoolAt(site.spool)
  const placesOf = (name: string) => STATES.filter((state) => existsSync(join(spool[state], name)))
  // Others are handed over later, or not yet for sure.
  const there = jobs.filter(({ name, since }) => since <= end || placesOf(name).length > 0)
  const ground: Ground = {
    spool,
    gcroots: site.gcroots,
    storeDir: site.nix.storeDir,
    hasArrived: (path) => isInCache(cache, path),
    cache,
    handed: there,
    foreign: new Map(),
  }
  const done = there.filter(({ name }) => placesOf(name).includes('done'))
  const found = violations(ground, moment)
  // btrfs makes durable the names of one directory alone, so a job may have its old name beside the new one: it is
  // delivered once more. What is done has no GC roots.
  const twice = bed.disks.kind === 'btrfs' ? found.flatMap((line) => TWICE.exec(line)?.[1] ?? []) : []
  const isAllowed = (line: string) =>
    /^(every job is in exactly one place|a job has its GC roots)/.test(line) &&
    twice.some((name) => line.includes(name.replace(/\.json$/, '')))
  const isBack = placesOf(requeued.name).includes('new')
  return [
    ...found.filter((line) => !isAllowed(line)),
    ...done.flatMap(({ name, paths }) =>
      paths.flatMap((path) => holesOf(cache, path).map((hole) => `done/${name}: ${hole}`)),
    ),
    ...(moment === 'crashed' && requeued.since <= end && !isBack ? [`${requeued.name} is not in new/`] : []),
  ]
}

/** What lacks in a cache of a path and all that it refers to. */
function holesOf(cache: string, path: string): string[] {
  const file = join(cache, narinfoName(path))
  const info = existsSync(file) ? parseNarInfo(readFileSync(file, 'utf8')) : undefined
  if (info === undefined) return [`there is no narinfo of ${path}`]
  const archive = join(cache, info.url)
  const nar = existsSync(archive) ? unpacked(readFileSync(archive)) : Buffer.alloc(0)
  const hash = hashText(createHash('sha256').update(nar).digest())
  const others = info.references.filter((name) => name !== basename(path))
  return [
    ...(hash === info.narHash ? [] : [`the archive of ${path} has the hash ${hash}`]),
    ...others.flatMap((name) => holesOf(cache, name)),
  ]
}

function unpacked(archive: Buffer): Buffer {
  try {
    return zstdDecompressSync(archive)
  } catch {
    return archive
  }
}

/**
 * Garbage is collected, then a daemon goes on: all that was promised gets where it must be.
 * @returns What is wrong then.
 */
export async function goesOn(bed: Bed, run: Run, end: number): Promise<string[]> {
  const { site, cache } = bed
  const spool = spoolAt(site.spool)
  const placeOf = (name: string) => STATES.find((state) => existsSync(join(spool[state], name)))
  const isPromised = ({ name, since }: { name: string; since: number }) => since <= end || placeOf(name)
  const isDone = ({ name }: { name: string }) => existsSync(join(spool.done, name))
  const living = run.jobs.filter((job) => isPromised(job) && !isDone(job) && job.isRooted)
  await site.nix.gc()
  const collected: string[] = []
  for (const path of living.flatMap(({ paths }) => paths)) {
    if (!(await site.nix.isValid(path))) collected.push(`${path} was collected`)
  }
  // Ten seconds pass for the lock of the daemon that is no more.
  if (existsSync(spool.lockDir)) utimesSync(spool.lockDir, 0, 0)
  const { exitCode, stderr } = await site.run(['drain', '--to', `file://${cache}`])
  const elsewhere = run.jobs.filter(isPromised).flatMap(({ name, paths, isRooted }) => {
    const place = placeOf(name)
    // What was put there by hand may have been collected before a daemon came.
    const ends = paths.length === 0 ? ['failed'] : isRooted ? ['done'] : ['done', 'failed']
    return place !== undefined && ends.includes(place)
      ? []
      : [`${name} is in ${place}, drain ended with ${exitCode}: ${stderr}`]
  })
  return [...collected, ...elsewhere, ...wrongIn(bed, run, end, 'recovered')]
}
