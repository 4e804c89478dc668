// SIGTERM: running copies may finish, within bounds; what is unfinished waits in new/; nothing stays behind.

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

test('a Nix that is in the middle of compressing is ended too', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const { outPaths } = await site.nix.build({ name: 'big', sizeBytes: 50 << 20 })
  // Half a minute of work for xz.
  const to = `[[destination]]\nto = "file://${site.cache}?compression=xz"\n`
  const daemon = await site.watch(await site.configured(`stop-grace = "100ms"\n${to}`))
  await site.enqueue(outPaths)
  await until(() => namesOf(descendantsOf(daemon.pid)).includes('nix'), 'the copy')
  await expectPromptEnd(site, daemon, () => daemon.kill('SIGTERM'))
  expect(outPaths.map((path) => site.isCached(path))).toEqual([false])
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

/** All that the daemon started ends with it, soon; its job has lost nothing by it. */
async function expectPromptEnd(site: Site, daemon: Daemon, end: () => unknown): Promise<void> {
  const [job = ''] = site.names('cur')
  const started = descendantsOf(daemon.pid)
  const endedAt = performance.now()
  await end()
  expect(await daemon.exited).toBe(0)
  expect(performance.now() - endedAt).toBeLessThan(8000)
  expect(started.filter(isRunning)).toEqual([])
  expect(site.counts()).toEqual({ new: 1, cur: 0, done: 0, failed: 0 })
  expect(site.names('new')).toEqual([job])
  expect(JSON.stringify(await site.job('new', job))).not.toMatch(/"attempts":[1-9]|"error"/)
}
