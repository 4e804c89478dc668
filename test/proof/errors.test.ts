// Every program meets every error at each of its system calls that touch the spool or the GC roots, and a drain at those
// that touch the cache or the store, too: once, and from there on for good. Whatever it then does, the jobs are where
// docs/SPOOL.md says, what it prints is lines for people and no stack trace, and run again without the error it gets
// everything done.
//
// All with PROOF=1 (`npm run proof`), a share that is spread evenly otherwise.

import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { violations } from './invariants.ts'
import {
  areWhole,
  drainArgs,
  drainFromStore,
  drainIntoCache,
  enqueueIn,
  filesOfDrain,
  goesOn,
  hookUnder,
  inWorld,
  namesIn,
  PROCESSES,
  seesTemporaries,
  tellsTheTruth,
} from './programs.ts'
import { evidence, IS_WHOLE, spread, twoAtATime } from './share.ts'
import { type Injection, type Point, pointsOf, pointsOfAll, runTraced, SETS } from './strace.ts'
import { FATES, LARGE, type World } from './world.ts'

const TIMEOUT = { timeout: IS_WHOLE ? 7_200_000 : 120_000 }

/** What each call can fail with, of EIO, ENOSPC, EACCES, EROFS, EMFILE and EINTR. */
const ERRORS: readonly (readonly [kinds: RegExp, errors: readonly string[]])[] = [
  [/^open/, ['EIO', 'ENOSPC', 'EACCES', 'EROFS', 'EMFILE', 'EINTR']],
  [/^(p?read)/, ['EIO', 'EINTR']],
  [/^(p?write)/, ['EIO', 'ENOSPC', 'EINTR']],
  [/sync$/, ['EIO', 'ENOSPC', 'EINTR']],
  [/^close$/, ['EIO', 'EINTR']],
  [/^(rename|link|symlink|mkdir)/, ['EIO', 'ENOSPC', 'EACCES', 'EROFS']],
  [/^(unlink|rmdir|utime)/, ['EIO', 'EACCES', 'EROFS']],
  [/^(stat|lstat|newfstatat|fstat|statx)/, ['EIO', 'EACCES']],
  [/^getdents/, ['EIO']],
]

/** Each error that each point can meet, once and for good; EINTR for good would be no error but a hang. */
function errorsAt(points: readonly Point[]): Injection[] {
  return points.flatMap(({ kind, nth }) => {
    const [, errors = []] = ERRORS.find(([kinds]) => kinds.test(kind)) ?? []
    return errors.flatMap((error): Injection[] => {
      const once = { set: kind, what: `error=${error}`, when: `${nth}` }
      return error === 'EINTR' ? [once] : [once, { ...once, when: `${nth}+` }]
    })
  })
}

async function everyError(
  program: string,
  points: readonly Point[],
  share: number,
  act: (injection: Injection, world: World) => Promise<boolean>,
): Promise<void> {
  const all = errorsAt(points)
  const chosen = spread(all, share)
  let hit = 0
  const failures: string[] = []
  await twoAtATime(chosen, async (injection) => {
    try {
      if (await inWorld((world) => act(injection, world))) hit++
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      failures.push(`${injection.set} ${injection.when} ${injection.what}: ${why}`)
    }
  })
  evidence(`${program}: ${all.length} errors at ${points.length} calls; ${hit} of ${chosen.length} hit`)
  expect(failures.join('\n\n')).toBe('')
  expect(hit).toBeGreaterThan(chosen.length * 0.8)
}

/** Lines for people, or for a log: no stack trace, no object printed by mistake, nothing for programmers. */
function isReadable(text: string): void {
  for (const line of text.split('\n').filter((each) => each !== '')) {
    if (line.startsWith('{')) expect(() => JSON.parse(line), line).not.toThrow()
    else expect(line).toMatch(/^nix-upload: /)
    expect(line).not.toMatch(/^\s+at |this is a bug|\[object|undefined|node:|\bE[A-Z]{3,}: /)
  }
}

test('drain', TIMEOUT, async () => {
  const points = await inWorld(async (world) => {
    world.settle()
    return pointsOf((await runTraced(world.program(drainArgs(world)), SETS.error)).calls[0] ?? [])
  })
  await everyError('drain', points, 9, async (injection, world) => {
    world.settle()
    const failed = await runTraced(world.program(drainArgs(world)), SETS.error, injection)
    const where = `${injection.set} ${injection.when} ${injection.what}:\n${failed.stderr}`
    expect([0, 1, 75], where).toContain(failed.exitCode)
    isReadable(failed.stderr)
    expect(violations(world.ground, 'crashed'), where).toEqual([])
    takeBackUnreadable(world)
    await goesOn(world)
    return failed.isHit
  })
})

const ALL = [...FATES, LARGE]

/** What went wrong was no job's fault: none is given up but those that can't be delivered. */
function isNoJobsFault({ spool }: World, where: string): void {
  const wrong = ALL.filter(({ name, ends }) => ends !== 'failed' && existsSync(join(spool.failed, name)))
  expect(wrong, where).toEqual([])
}

test('drain, at its calls on the cache', TIMEOUT, async () => {
  const files = await filesOfDrain(ALL)
  const points = await inWorld(async (world) => {
    world.settle(ALL)
    const { calls } = await runTraced(drainIntoCache(world, files), SETS.error)
    seesTemporaries(calls)
    return pointsOfAll(calls)
  })
  await everyError("drain's cache", points, 12, async (injection, world) => {
    world.settle(ALL)
    const failed = await runTraced(drainIntoCache(world, files), SETS.error, injection)
    const where = `${injection.set} ${injection.when} ${injection.what}:\n${failed.stderr}`
    expect([1, 75], where).toContain(failed.exitCode)
    isReadable(failed.stderr)
    expect(violations(world.ground, 'crashed'), where).toEqual([])
    isNoJobsFault(world, where)
    for (const { name, ends } of ALL) {
      const path = join(world.spool.new, name)
      if (ends !== 'done' || !existsSync(path)) continue
      // It waits for the destination, with all its attempts left.
      expect(readFileSync(path, 'utf8'), where).not.toMatch(/"attempts":\s*[1-7]/)
    }
    await goesOn(world, ALL)
    return failed.isHit
  })
})

test('drain, at its calls on the store', TIMEOUT, async () => {
  const points = await inWorld(async (world) => {
    world.settle(ALL)
    return pointsOfAll((await runTraced(drainFromStore(world, ALL), SETS.error)).calls)
  })
  await everyError("drain's store", points, 6, async (injection, world) => {
    world.settle(ALL)
    const failed = await runTraced(drainFromStore(world, ALL), SETS.error, injection)
    const where = `${injection.set} ${injection.when} ${injection.what}:\n${failed.stderr}`
    expect([1, 75], where).toContain(failed.exitCode)
    isReadable(failed.stderr)
    expect(violations(world.ground, 'crashed'), where).toEqual([])
    isNoJobsFault(world, where)
    await goesOn(world, ALL)
    return failed.isHit
  })
})

/** A file that may not be read is no valid job. Once its permissions are mended, a person moves it back. */
function takeBackUnreadable({ spool }: World): void {
  for (const name of readdirSync(spool.failed)) {
    const note = join(spool.failed, `${name}.reason`)
    if (!existsSync(note) || !readFileSync(note, 'utf8').includes('it cannot be read')) continue
    renameSync(join(spool.failed, name), join(spool.new, name))
    rmSync(note)
  }
}

test('enqueue', TIMEOUT, async () => {
  const points = await inWorld(async (world) => {
    return pointsOf((await enqueueIn(world, SETS.error)).calls[0] ?? [])
  })
  await everyError('enqueue', points, 9, async (injection, world) => {
    const failed = await enqueueIn(world, SETS.error, injection)
    const where = `${injection.set} ${injection.when} ${injection.what}:\n${failed.stderr}`
    expect([0, 1], where).toContain(failed.exitCode)
    isReadable(failed.stderr)
    // A line for each path, and one for the roots.
    expect(failed.stderr.split('\n').length, where).toBeLessThanOrEqual(4)
    const isRooted = !failed.stderr.includes('queued, but without GC roots')
    await areWhole(world, namesIn(failed.stdout), isRooted)
    expect((await enqueueIn(world, SETS.error)).exitCode).toBe(0)
    return failed.isHit
  })
})

test('the hook, at every call of the shell and its tools', TIMEOUT, async () => {
  for (const process of PROCESSES) {
    const points = await inWorld(async (world) => {
      const { calls } = await hookUnder(world, process, 'alone')
      // Until the shell has read the script there is nobody who could keep it from ending with an error.
      const start = process === 'sh' ? calls.findIndex((call) => call.includes('"#!/bin/sh')) : -1
      return (
        pointsOf(calls)
          .slice(start + 1)
          // strace leaves the call out. Linux closes a file even where it reports an error, and a pipe that stays open
          // holds the shell up for good.
          .filter(({ kind }) => process !== 'sh' || kind !== 'close')
      )
    })
    await everyError(`the hook's ${process}`, points, process === 'sh' ? 14 : 5, async (injection, world) => {
      const { result, ...watched } = await hookUnder(world, process, 'alone', injection)
      // A line that can't be written is not there to be read; that all is safe is still looked at below.
      const canSpeak = process !== 'sh' || injection.set !== 'write'
      // A shell that can't open files any more can't start rm either: what it leaves is swept.
      if (canSpeak) tellsTheTruth(world, result, process !== 'sh')
      const isRooted = !/but its paths are not protected/.test(result.stdout)
      await areWhole(world, [], isRooted)
      // Once more, in peace.
      rmSync(join(world.dir, 'watched'), { recursive: true })
      const { result: again } = await hookUnder(world, 'date', 'alone')
      expect(again.stdout).toMatch(/^nix-upload: queued \S+$/)
      return watched.isHit
    })
  }
})
