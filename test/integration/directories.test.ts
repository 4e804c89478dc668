// The directories of the spool, while the daemon runs: somebody removes one, or it can't be read for a while.

import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { UNPRIVILEGED } from './circumstances.ts'
import { until } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

const RESCAN = 'rescan-interval = "200ms"\n'
const UNREADABLE = '"the spool could not be read; it is tried again at the next rescan"'

async function upload(site: Site): Promise<void> {
  const [path = ''] = await site.paths(1)
  const done = site.names('done').length
  await site.hook([path])
  await site.settle('done', done + 1)
  expect(site.isCached(path)).toBe(true)
}

test('each of them is made again, and all goes on', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const daemon = await site.watch(await site.configured(RESCAN))
  for (const name of ['done', 'failed', 'cur', 'new', 'tmp'] as const) {
    rmSync(site.path(name), { recursive: true })
    await until(() => existsSync(site.path(name)), `${name}/`)
    await daemon.says(`"directories":["${name}"]`)
    expect(lstatSync(site.path(name)).mode & 0o777).toBe(0o755)
    await upload(site)
  }
  expect(await daemon.stop()).toBe(0)
})

// As after the loss of a mount: what is queued into the directory below it would be hidden when it is back.
test('none is made if all of them are gone', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const daemon = await site.watch(await site.configured(RESCAN))
  const away = `${site.spool}-away`
  const move = (from: string, to: string) => {
    for (const name of ['tmp', 'new', 'cur', 'done', 'failed']) renameSync(`${from}/${name}`, `${to}/${name}`)
  }
  await site.nix.run('mkdir', [away])
  move(site.spool, away)
  await sleep(1_000)
  expect(readdirSync(site.spool).filter((name) => existsSync(`${away}/${name}`))).toEqual([])
  move(away, site.spool)
  await upload(site)
  expect(await daemon.stop()).toBe(0)
})

test.each([false, true])(
  "new/ can't be read for a while; paused: %s",
  { timeout: 60_000 },
  async (isPaused) => {
    const site = await makeSite()
    await site.makeSpool()
    const daemon = await site.watch(await site.configured(RESCAN), UNPRIVILEGED)
    if (isPaused) await site.run(['pause'])
    if (isPaused) await daemon.says('"paused: nothing is claimed until nix-upload resume"')
    // Longer than it takes until a rescan is due.
    await sleep(500)
    // A directory that takes the place of another is not watched yet, so it is read.
    mkdirSync(`${site.spool}-next`, 0o000)
    renameSync(site.path('new'), `${site.spool}-old`)
    renameSync(`${site.spool}-next`, site.path('new'))
    await daemon.says(UNREADABLE)
    chmodSync(site.path('new'), 0o755)
    if (isPaused) await site.run(['resume'])
    await upload(site)
    expect(await daemon.stop()).toBe(0)
  },
)
