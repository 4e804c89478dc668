// `wait`, as a step of a CI job.

import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { makeSite } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'

test('0: nothing waits, or all of it is done by then', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  expect(await site.run(['wait'])).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
  cache.behave({ delayMs: 1_500 }, { method: 'PUT', path: /^\/nar\// })
  await site.watch(['--to', cache.url])
  await site.enqueue(await site.paths(1))
  const startedAt = performance.now()
  expect(await site.run(['wait', '--timeout', '1m'])).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
  expect(performance.now() - startedAt).toBeGreaterThan(500)
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 1, failed: 0 })
})

test('75: the time is over; nobody delivers, and it says so', async () => {
  const site = await makeSite()
  await site.enqueue(await site.paths(2))
  const result = await site.run(['wait', '--timeout', '300ms'])
  expect(result).toMatchObject({ exitCode: 75, stdout: '' })
  expect(result.stderr).toMatch(/no daemon is running.*\n.*still waiting after .*: 2 jobs/)
})

test('75: the destination is down', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const daemon = await site.watch(['--to', 'http://127.0.0.1:1'])
  await site.enqueue(await site.paths(1))
  await daemon.says('the destination is down')
  const result = await site.run(['wait', '--timeout', '300ms'])
  expect(result).toMatchObject({
    exitCode: 75,
    stderr: expect.stringMatching(
      /^nix-upload: still waiting after .*: 1 job; `nix-upload status` says why$/,
    ),
  })
})

test('1: a job failed meanwhile; what had failed before does not count', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const bad = () =>
    site.handOver('bad', JSON.stringify({ outPaths: [`${site.nix.storeDir}/${'0'.repeat(32)}-gone`] }))
  await bad()
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 1 })
  expect(await site.run(['wait'])).toMatchObject({ exitCode: 0 })

  await bad()
  const waiting = site.run(['wait'])
  await sleep(1_500)
  await site.watch()
  const result = await waiting
  expect(result).toMatchObject({ exitCode: 1, stdout: '' })
  expect(result.stderr).toMatch(/1 jobs? failed; `nix-upload list failed` says why/)
})
