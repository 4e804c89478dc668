// What `drain` promises to scripts, timers and path units: it ends, and its exit code says how things stand.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeSite } from './site.ts'

/** Nothing listens on port 1. A drain doesn't stay for the next attempt. */
const down = (more = '') => `[[destination]]\nto = "http://127.0.0.1:1/"\nretry-min = "1h"\n${more}`

test('0: all is done, or there was nothing to do', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0, stderr: 'nix-upload: 0 done' })
  await site.enqueue(await site.paths(2))
  // Hidden files are nobody's job.
  await writeFile(site.path('new', '.keep'), '')
  const drained = await site.run(['drain'])
  expect(drained).toMatchObject({ exitCode: 0, stdout: '', stderr: expect.stringMatching(/\n.*: 2 done$/) })
  expect(site.names('done')).toHaveLength(2)
})

test('1: a job failed, and the others are delivered all the same', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.enqueue(await site.paths(2))
  await site.handOver('bad', '')
  const drained = await site.run(['drain'])
  expect(drained).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/\n.*: 2 done, 1 failed$/) })
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 2, failed: 1 })
  // What had failed before is not this drain's.
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
})

test('75: the destination is down, which costs the jobs nothing', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const names = await site.enqueue(await site.paths(3))
  const config = await site.configured(down('max-attempts = 1\n'))
  for (let round = 0; round < 2; round++) {
    const drained = await site.run(['drain', ...config])
    expect(drained).toMatchObject({
      exitCode: 75,
      stderr: expect.stringMatching(/: 0 done, some must wait$/),
    })
    expect(site.names('new')).toEqual(names.toSorted())
    for (const name of names) {
      const { state, attempts, error } = await site.delivery('new', name)
      expect({ state, attempts }).toEqual({ state: 'waiting', attempts: 0 })
      expect(error).toMatch(/does not accept connections/)
    }
  }
  // It has recovered: the same destination by name, somewhere else.
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 0 })
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: 3, failed: 0 })
})

test('75: more jobs than fit into a batch wait for a destination that is down', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  await site.enqueue(await site.paths(12))
  const config = await site.configured(down('batch-size = 2\nconcurrency = 1\n'))
  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 75 })
  expect(site.counts()).toEqual({ new: 12, cur: 0, done: 0, failed: 0 })
})

test('75: paused, all of it or the one destination there is', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.enqueue(await site.paths(1))
  await site.run(['pause'])
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 75 })
  await site.run(['resume'])
  await writeFile(join(site.spool, 'paused.default'), '')
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 75 })
  expect(site.counts()).toEqual({ new: 1, cur: 0, done: 0, failed: 0 })
})

test('75: a daemon has the spool', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const daemon = await site.watch()
  const drained = await site.run(['drain'])
  expect(drained).toMatchObject({ exitCode: 75, stderr: expect.stringContaining(`process ${daemon.pid} `) })
})

test('1 comes before 75: something failed and something must wait', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  await site.enqueue(await site.paths(1))
  await site.handOver('bad', '')
  const drained = await site.run(['drain', ...(await site.configured(down()))])
  expect(drained).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/0 done, 1 failed, some must wait$/),
  })
})

test('78: the configuration is wrong', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const config = await site.configured('[[destination]]\nto = "ftp://cache.example"\n')
  const drained = await site.run(['drain', ...config])
  expect(drained).toMatchObject({
    exitCode: 78,
    stdout: '',
    stderr: expect.stringContaining('destination[0].to: '),
  })
  expect(drained.stderr.split('\n')).toHaveLength(1)
})
