// What lies in the spool has its roots, whoever put it there; what is half written is waited for; what is stuck stops nothing.

import { execFileSync } from 'node:child_process'
import { mkdirSync, renameSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { rootKey } from '../../src/nix/gc-roots.ts'
import { until } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

const isRooted = (site: Site, name: string) =>
  site.roots().some((root) => root.startsWith(`${rootKey(name)}.`))
const DOWN = '[[destination]]\nto = "http://127.0.0.1:1/"\nretry-min = "1h"\nretry-max = "1h"\n'

test.each(['paused', 'paused before the start', 'down'])(
  'while %s, what is put into new/ has its roots',
  async (how) => {
    const site = await makeSite()
    await site.makeSpool()
    const paths = await site.paths(3)
    const contents = paths.map((path) => JSON.stringify({ outPaths: [path] }))
    if (how === 'paused before the start') await site.run(['pause'])
    const daemon = await site.watch(how === 'down' ? await site.configured(DOWN) : [])
    if (how === 'paused') await site.run(['pause'])
    if (how === 'paused') await daemon.says('nothing is claimed')
    if (how === 'down') await site.enqueue([paths[2] ?? ''])
    if (how === 'down') await daemon.says('the destination is down')
    await site.handOver('one.json', contents[0] ?? '')
    await until(() => isRooted(site, 'one.json'), 'roots', 5000)
    await site.handOver('two.json', contents[1] ?? '')
    renameSync(site.path('new', 'two.json'), site.path('new', 'renamed.json'))
    await until(() => isRooted(site, 'renamed.json'), 'roots by the new name', 5000)
  },
)

test('`prune` and a drain of what is paused make the roots that are missing', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [one, two] = await site.paths(2)
  await site.run(['pause'])
  await site.handOver('one.json', JSON.stringify({ outPaths: [one] }))
  await site.run(['drain'])
  expect(isRooted(site, 'one.json')).toBe(true)
  writeFileSync(site.path('failed', 'two.json'), JSON.stringify({ outPaths: [two] }))
  await site.run(['prune'])
  expect(isRooted(site, 'two.json')).toBe(true)
})

test('a job that is written slowly is not judged before it is whole; what stays no job is', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [path] = await site.paths(1)
  const text = JSON.stringify({ outPaths: [path] })
  await site.watch()
  writeFileSync(site.path('new', 'slow.json'), '')
  writeFileSync(site.path('new', 'never.json'), '{')
  for (let at = 0; at <= text.length; at += 20) {
    writeFileSync(site.path('new', 'slow.json'), text.slice(0, at))
    await sleep(1000)
  }
  writeFileSync(site.path('new', 'slow.json'), text)
  await site.settle('done', 1, 10_000)
  await site.settle('failed', 1, 10_000)
  expect([site.names('done'), site.names('failed')]).toEqual([['slow.json'], ['never.json']])
})

test('a drain waits for a file that may be half written', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [path] = await site.paths(1)
  writeFileSync(site.path('new', 'slow.json'), '')
  const draining = site.run(['drain'])
  await sleep(1500)
  writeFileSync(site.path('new', 'slow.json'), JSON.stringify({ outPaths: [path] }))
  expect(await draining).toMatchObject({ exitCode: 0 })
  expect(site.names('done')).toEqual(['slow.json'])
})

test('requeue and enqueue refuse what is gone, by name, and queue the rest', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [one = '', two = ''] = await site.paths(2)
  const jobs = await site.enqueue([one, two])
  await site.run(['drain'])
  await site.nix.run('nix-store', ['--delete', two])
  const requeued = await site.run(['requeue', ...jobs])
  expect(requeued).toMatchObject({ exitCode: 1, stdout: jobs[0] })
  expect(requeued.stderr).toContain(
    `${jobs[1]} is left in done/: ${two} is not in the store; build it again, or delete the job`,
  )
  expect([site.names('new'), site.names('done')]).toEqual([[jobs[0]], [jobs[1]]])
  expect(site.roots()).toHaveLength(1)
  // Its files lie there, but the store doesn't know them.
  writeFileSync(two, '')
  const enqueued = await site.run(['enqueue', two, one])
  expect(enqueued.exitCode).toBe(1)
  expect(enqueued.stderr).toContain(`not queued: ${two} is not in the store`)
  expect(site.names('new')).toHaveLength(2)
})

test('a dead lock and an entry of cur/ that are stuck are said, and the rest is delivered', async () => {
  const site = await makeSite()
  await site.makeSpool()
  await site.enqueue(await site.paths(1))
  const stuck = site.path('cur', 'stuck')
  const lock = join(site.spool, 'daemon.lock')
  for (const directory of [stuck, lock]) {
    mkdirSync(directory)
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory])
    onTestFinished(() => void execFileSync('umount', [directory]))
  }
  utimesSync(lock, 0, 0)
  const daemon = await site.watch()
  await site.settle('done', 1)
  await daemon.says("can't be moved out of cur/")
  await daemon.says('works without a lock')
  expect(await daemon.stop()).toBe(0)
  expect(await site.run(['drain'])).toMatchObject({ exitCode: 75 })
})
