// One daemon at a time has a spool. A dead one is no obstacle to the next.

import { mkdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { UNSHARE } from './circumstances.ts'
import type { Daemon } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

test('a second daemon says who is at work, and exits with 75', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const { daemon: first, startMs } = await started(site)
  const { ms, exitCode, log } = await refused(site)
  expect(exitCode).toBe(75)
  expect(log).toEqual([
    expect.stringMatching(`^nix-upload: process ${first.pid} is delivering ${site.spool} already; `),
  ])
  expect(ms).toBeLessThan(2 * startMs + 3000)
  // The first one has noticed nothing.
  await site.enqueue(await site.paths(1))
  await site.settle('done', 1)
})

test('a daemon in a container, whose processes we cannot see, is known by the lock it renews', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  const { startMs } = await started(site, [], [...UNSHARE, '--pid', '--fork', '--mount-proc'])
  const { ms, exitCode, log } = await refused(site)
  expect(exitCode).toBe(75)
  expect(log).toEqual([expect.stringMatching(/^nix-upload: .* is delivering /)])
  expect(ms).toBeLessThan(2 * startMs + 6000)
})

test('after a SIGKILL the next daemon takes over at once', { timeout: 60_000 }, async ({ annotate }) => {
  const site = await makeSite()
  await site.makeSpool()
  for (const path of await site.paths(3)) {
    // It hangs in its copy when it is killed.
    const hanging = await site.configured('[[destination]]\ncommand = ["sleep", "600"]\n')
    const { daemon, startMs } = await started(site, hanging)
    const { done } = site.counts()
    const [job = ''] = await site.enqueue([path])
    await site.settle('cur', 1)
    daemon.killWithChildren()
    await daemon.exited

    const killedAt = performance.now()
    const next = await site.watch()
    const toWatching = performance.now() - killedAt
    await site.settle('done', done + 1)
    const toDone = performance.now() - killedAt
    await annotate(
      `at work again after ${Math.round(toWatching)} ms, job done after ${Math.round(toDone)} ms`,
    )
    expect(site.names('done')).toContain(job)
    expect(toWatching).toBeLessThan(2 * startMs + 5000)
    expect(await next.stop()).toBe(0)
  }
})

test('a daemon that was stopped for longer than a lock holds gives way without a trace', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  const sleeper = await site.watch()
  // A lock is stamped with the next full second, and whose it is is told by its stamp.
  await sleep(1100)
  sleeper.kill('SIGSTOP')
  // As if it had been stopped for long.
  await utimes(join(site.spool, 'daemon.lock'), 0, 0)
  const daemon = await site.watch()
  sleeper.kill('SIGCONT')
  expect(await sleeper.exited).toBe(75)
  expect(sleeper.log.at(-1)).toMatch(/^nix-upload: stopped, since the lock on the spool was lost/)

  const status = await site.run(['status', '--json'])
  expect(JSON.parse(status.stdout)).toMatchObject({ daemon: { running: true, pid: daemon.pid } })
  expect((await refused(site)).log).toEqual([expect.stringContaining(`process ${daemon.pid} `)])
  await site.enqueue(await site.paths(1))
  await site.settle('done', 1)
})

test('a lock that nobody renews any more is waited out, whatever its time stamp says', {
  timeout: 60_000,
}, async () => {
  // The second was left before the clock was set back by a day.
  const waits = await Promise.all([0, 86_400].map(waitedOut))
  // Not taken at once: its holder may be in another container.
  for (const seconds of waits) expect(seconds).toBeGreaterThan(8)
  for (const seconds of waits) expect(seconds).toBeLessThan(25)
})

/** How many seconds a daemon takes to deliver where there is a lock of an unknown holder, stamped so far ahead. */
async function waitedOut(secondsAhead: number): Promise<number> {
  const site = await makeSite()
  await site.enqueue(await site.paths(1))
  const lock = join(site.spool, 'daemon.lock')
  await mkdir(lock)
  const stamp = Date.now() / 1000 + secondsAhead
  await utimes(lock, stamp, stamp)
  const startedAt = performance.now()
  site.start(['watch'])
  await site.settle('done', 1, 30_000)
  return (performance.now() - startedAt) / 1000
}

/** Starts a daemon, and tells in how many milliseconds it is at work: on a busy machine a start alone takes seconds. */
async function started(
  site: Site,
  args: string[] = [],
  before: string[] = [],
): Promise<{ daemon: Daemon; startMs: number }> {
  const startedAt = performance.now()
  const daemon = await site.watch(args, before)
  return { daemon, startMs: performance.now() - startedAt }
}

/** Starts a daemon that is to give up. */
async function refused(site: Site): Promise<{ ms: number; exitCode: number; log: string[] }> {
  const startedAt = performance.now()
  const daemon = site.start(['watch'])
  const exitCode = await daemon.exited
  return { ms: performance.now() - startedAt, exitCode, log: daemon.log }
}
