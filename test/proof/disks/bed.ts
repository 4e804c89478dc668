// A Nix, a spool and a cache on disks of their own, with jobs of an earlier daemon's.

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootKey } from '../../../src/nix/gc-roots.ts'
import { hashOf } from '../../../src/nix/store-path.ts'
import { Site, type State } from '../../integration/site.ts'
import { nixVersions } from '../../support/nix-versions.mjs'
import { makePrivateNix, type PrivateNix } from '../../support/private-nix.ts'
import { Disks } from './disks.ts'
import type { Kind } from './filesystems.ts'

/** What lies on which disk. */
export const LAYOUTS = {
  'one disk': { spool: 'all', nix: 'all', cache: 'all' },
  'three disks': { spool: 'spool', nix: 'nix', cache: 'cache' },
} as const
export type Layout = keyof typeof LAYOUTS

/** A job that was handed over. */
export interface Job {
  name: string
  bytes: Buffer
  /** The paths that are in the cache when it is done. */
  paths: readonly string[]
  isRooted: boolean
  /** From when on it must be there, by how much had reached the disks. */
  since: number
}

export interface Bed {
  disks: Disks
  site: Site
  cache: string
  /** Jobs that were there before. */
  earlier: readonly Job[]
  /** Store paths that nobody has queued yet: small ones, one that streams to the cache, one with a reference. */
  made: { small: readonly string[]; large: string; app: string }
}

/** How many small paths there are. */
const SMALL = 40
const LARGE_BYTES = 5_000_000
const APP = `let
  make = name: text: derivation {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" "echo \${text} > $out" ];
  };
in make "app" "\${make "library" "nothing"}"`

/** What is there before the run is on the disks for good. */
export async function makeBed(kind: Kind, layout: Layout): Promise<Bed> {
  const places = LAYOUTS[layout]
  const disks = new Disks(kind, [...new Set(Object.values(places))])
  return await disks.prepare(async () => {
    const version = (await nixVersions()).at(-1)
    if (version === undefined) throw new Error('there is no Nix to test with')
    const nix = await makePrivateNix(version, {
      dir: disks.at(places.nix),
      // What is built is kept with its derivation, which is all that a job that doesn't know its outputs can protect.
      settings: ['fsync-metadata = true', 'keep-outputs = true'],
    })
    mkdirSync(join(nix.dir, 'tmp'))
    const site = new Site(nix, join(disks.at(places.spool), 'spool'))
    await site.makeSpool()
    const small = await site.paths(SMALL)
    const large = await nix.addAllToStore({ large: pseudoRandom(LARGE_BYTES) })
    const app = await nix.build(APP)
    const made = { small, large: large[0] ?? '', app: app.outPaths[0] ?? '' }
    return {
      disks,
      site,
      cache: join(disks.at(places.cache), 'of-all/cache'),
      earlier: await earlierJobs(site, nix),
      made,
    }
  })
}

/** One that a daemon had claimed, one whose path is gone, one put there by hand, one that doesn't know its outputs. */
async function earlierJobs(site: Site, nix: PrivateNix): Promise<Job[]> {
  const put = (
    state: State,
    name: string,
    job: object,
    paths: readonly string[],
    rooted: readonly string[],
  ): Job => {
    const bytes = Buffer.from(JSON.stringify(job))
    writeFileSync(site.path(state, name), bytes)
    for (const path of rooted) symlinkSync(path, join(site.gcroots, `${rootKey(name)}.${hashOf(path)}`))
    return { name, bytes, paths, isRooted: rooted.length > 0, since: 0 }
  }
  const [claimed = '', byHand = ''] = await site.paths(2)
  const gone = join(nix.storeDir, `${'0'.repeat(32)}-gone`)
  const built = await nix.build(APP.replaceAll('app', 'other'))
  return [
    put('cur', 'claimed.json', { outPaths: [claimed] }, [claimed], [claimed]),
    put('new', 'gone.json', { outPaths: [gone] }, [], [gone]),
    put('new', 'by-hand.json', { outPaths: [byHand] }, [byHand], []),
    put('new', 'looked-up.json', { drvPath: built.drvPath }, built.outPaths, [built.drvPath]),
  ]
}

/** Bytes that can't be compressed. */
function pseudoRandom(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  let state = 1
  for (let at = 0; at + 4 <= size; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    bytes.writeInt32LE(state, at)
  }
  return bytes
}
