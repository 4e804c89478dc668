// Promise 1 of the design, "no build is lost", against a daemon that is killed again and again.

import { utimes } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { makeSite, type Site } from './site.ts'

const JOBS = 1000
const HOOKS_AT_ONCE = 50
const LIFE_MS = 200
/** It goes on until all is done; on a slow machine until both of these are reached. */
const KILLS = 10
const KILLING_MS = 20_000

test('of 1,000 jobs none is lost or done twice while the daemon is killed every 200 ms', {
  timeout: 120_000,
}, async ({ annotate }) => {
  const site = await makeSite()
  await site.makeSpool()
  const paths = await site.paths(JOBS)
  const startedAt = performance.now()
  const handingOver = handOverAll(site, paths)
  const { kills, startMs } = await liveAndDie(site, handingOver)
  const queued = await handingOver
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  const done = site.names('done').length
  await annotate(
    `${kills} kills in ${seconds} s, ${done} done; ${Math.round(median(startMs))} ms to start (median)`,
  )
  // On a busy machine lives are longer, and all may be done before.
  expect(kills).toBeGreaterThanOrEqual(KILLS / 2)

  // What the last one left in the middle of things is gone on with by the next one.
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: JOBS, failed: 0 })
  expect(site.names('done')).toEqual(queued.sort())
  expect(paths.filter((path) => !site.isCached(path))).toEqual([])

  // A kill can leave one job without its delivery record (C10), one temporary file (C6, C9, C10) and the roots of one
  // job that is done (C11); the last two are swept in time.
  const jobs = await Promise.all(queued.map((name) => site.job('done', name)))
  expect(jobs.filter(({ destinations }) => destinations === undefined).length).toBeLessThanOrEqual(kills)
  const left = site.names('tmp')
  // The delivery records of a group that was being made durable.
  expect(left.length).toBeLessThanOrEqual(100 * kills)
  for (const name of left) await utimes(site.path('tmp', name), 0, 0)
  expect(await site.run(['prune'])).toMatchObject({ exitCode: 0 })
  expect(site.names('tmp')).toEqual([])
  await expect.poll(() => site.roots()).toEqual([])
})

/**
 * Starts the daemon and kills it, until all jobs are through: now it alone, so that its copies live on beside the next
 * one's, now with all that it started. When all is handed over, whoever got nothing done in its life is followed by
 * one that lives longer.
 */
async function liveAndDie(
  site: Site,
  handingOver: Promise<unknown>,
): Promise<{ kills: number; startMs: number[] }> {
  let isAllThere = false
  const noteEnd = () => {
    isAllThere = true
  }
  handingOver.then(noteEnd, noteEnd)
  // Smaller batches than usual, for a life's work to be done in a life.
  const config = await site.configured(`[[destination]]\nto = "file://${site.cache}"\nbatch-size = 50\n`)
  const startMs: number[] = []
  const endAt = performance.now() + KILLING_MS
  let lifeMs = LIFE_MS
  for (let kills = 0; ; kills++) {
    const done = site.names('done').length
    if (done === JOBS || (kills >= KILLS && performance.now() > endAt)) return { kills, startMs }
    const bornAt = performance.now()
    const daemon = await site.watch(config)
    startMs.push(performance.now() - bornAt)
    await sleep(lifeMs)
    if (kills % 2 === 0) daemon.kill('SIGKILL')
    else daemon.killWithChildren()
    await daemon.exited
    lifeMs = isAllThere && site.names('done').length === done ? lifeMs * 1.5 : LIFE_MS
  }
}

/** Returns the names of the jobs. */
async function handOverAll(site: Site, paths: string[]): Promise<string[]> {
  const left = [...paths]
  const names: string[] = []
  const handOver = async () => {
    for (let path = left.pop(); path !== undefined; path = left.pop()) {
      const { exitCode, stdout, stderr } = await site.hook([path])
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
      names.push(stdout.replace(/^nix-upload: queued /, ''))
    }
  }
  await Promise.all(Array.from({ length: HOOKS_AT_ONCE }, handOver))
  return names
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
