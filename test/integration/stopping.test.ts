// SIGTERM: running copies may finish, within bounds; what is unfinished waits in new/; nothing stays behind.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type MoodyCache, startMoodyCache } from '../support/servers/moody-cache.ts'
import { type Daemon, descendantsOf, isRunning, namesOf, until } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

test('a running copy is finished, and nothing new is begun', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const { daemon, cache } = await uploading(site, '', { delayMs: 300 })
  const [running = ''] = site.names('cur')
  daemon.kill('SIGTERM')
  await daemon.says('stopping: running copies may finish')
  await site.enqueue(await site.paths(1))
  expect(await daemon.exited).toBe(0)
  expect(site.names('done')).toEqual([running])
  expect(site.counts()).toEqual({ new: 1, cur: 0, done: 1, failed: 0 })
  expect(cache.count('PUT', /\.narinfo$/)).toBe(1)
})

test('after the grace a copy is ended and its job waits in new/', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const { daemon } = await uploading(site, 'stop-grace = "300ms"\n', { delayMs: 600_000 })
  await expectPromptEnd(site, daemon, () => daemon.kill('SIGTERM'))
})

test('a second SIGTERM ends the copies without waiting for the grace', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const { daemon } = await uploading(site, 'stop-grace = "10m"\n', { delayMs: 600_000 })
  await expectPromptEnd(site, daemon, async () => {
    daemon.kill('SIGTERM')
    await daemon.says('stopping: running copies may finish')
    daemon.kill('SIGTERM')
  })
})

test.each([
  { by: 'a thread of ours', compression: 'zstd&compression-level=19', sizeBytes: 100 << 20 },
  { by: 'a program', compression: 'xz', sizeBytes: 50 << 20 },
])('compressing that is under way is ended too, by $by', { timeout: 60_000 }, async ({ by, ...large }) => {
  const site = await makeSite()
  await site.makeSpool()
  const { outPaths } = await site.nix.build({ name: 'big', sizeBytes: large.sizeBytes })
  // Half a minute of work.
  const to = `[[destination]]\nto = "file://${site.cache}?compression=${large.compression}"\n`
  const daemon = await site.watch(await site.configured(`stop-grace = "100ms"\n${to}`))
  await site.enqueue(outPaths)
  const written = join(site.cache, 'nar/.nix-upload-tmp')
  const sizes = () => readdirSync(written).map((name) => statSync(join(written, name)).size)
  await until(() => existsSync(written) && sizes().some((size) => size > 0), 'the archive')
  if (by === 'a program') expect(namesOf(startedBy(daemon))).toContain('xz')
  await expectPromptEnd(site, daemon, () => daemon.kill('SIGTERM'))
  expect(outPaths.map((path) => site.isCached(path))).toEqual([false])
  // Nothing of it is left, nor was it ever anything that somebody could take for the archive.
  expect(sizes()).toEqual([])
  expect(readdirSync(join(site.cache, 'nar'))).toEqual(['.nix-upload-tmp'])
})

test("a user's program that will not be stopped is killed, with its children", {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const script = `trap '' TERM; sleep 600 & while :; do sleep 1; done`
  const command = `command = ["sh", "-c", ${JSON.stringify(script)}]\n`
  const config = await site.configured(`stop-grace = "100ms"\n[[destination]]\n${command}`)
  const daemon = await site.watch(config)
  await site.enqueue(await site.paths(1))
  await until(() => namesOf(descendantsOf(daemon.pid)).includes('sleep'), 'the program')
  await expectPromptEnd(site, daemon, () => daemon.kill('SIGTERM'))
})

type Slowness = { delayMs: number }

/** A daemon in the middle of an upload to a server that takes its time. */
async function uploading(
  site: Site,
  toml: string,
  mood: Slowness,
): Promise<{ daemon: Daemon; cache: MoodyCache }> {
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  cache.behave(mood, { method: 'PUT', path: /nar/ })
  await site.makeSpool()
  const daemon = await site.watch(await site.configured(`${toml}[[destination]]\nto = "${cache.url}"\n`))
  await site.enqueue(await site.paths(1))
  await until(() => cache.count('PUT', /nar/) > 0, 'the upload')
  return { daemon, cache }
}

/** The processes that it started, its threads' too, and those that these started. */
function startedBy({ pid }: Daemon): number[] {
  const threads = readdirSync(`/proc/${pid}/task`)
  const children = threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  )
  return children.flatMap((child) => [child, ...descendantsOf(child)])
}

/** All that the daemon started ends with it, soon; its job has lost nothing by it. */
async function expectPromptEnd(site: Site, daemon: Daemon, end: () => unknown): Promise<void> {
  const [job = ''] = site.names('cur')
  const started = startedBy(daemon)
  const endedAt = performance.now()
  await end()
  expect(await daemon.exited).toBe(0)
  expect(performance.now() - endedAt).toBeLessThan(8000)
  // A program that compresses ends when its pipes are closed.
  await expect.poll(() => started.filter(isRunning), { timeout: 10_000 }).toEqual([])
  expect(site.counts()).toEqual({ new: 1, cur: 0, done: 0, failed: 0 })
  expect(site.names('new')).toEqual([job])
  expect(JSON.stringify(await site.job('new', job))).not.toMatch(/"attempts":[1-9]|"error"/)
}
