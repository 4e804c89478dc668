// What the watchdog is fed by: the loop sleeps, or has got on since the last time.

import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { DEFAULTS, DESTINATION_DEFAULTS } from '../../src/config/config.ts'
import { DirectoryWatcher } from '../../src/daemon/directory-watcher.ts'
import { Loop } from '../../src/daemon/loop.ts'
import { GcRoots } from '../../src/nix/gc-roots.ts'
import { openSpool } from '../../src/spool/layout.ts'
import { until } from '../integration/daemon.ts'

async function makeLoop(): Promise<Loop> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  await mkdir(join(dir, 'roots'))
  const spool = openSpool(join(dir, 'spool'))
  const destination = { name: 'default', to: 'file:///nowhere', via: 'nix' as const, ...DESTINATION_DEFAULTS }
  const config = {
    ...DEFAULTS,
    spool: spool.root,
    warnings: [],
    others: [],
    gcroots: '',
    destinations: [destination],
  }
  return new Loop({
    spool,
    roots: new GcRoots(config.gcroots),
    storeDir: '/nix/store',
    config,
    log: pino({ level: 'silent' }),
    onChange: () => undefined,
  })
}

test('a loop that sleeps is well, however long', async () => {
  const loop = await makeLoop()
  const ended = loop.run('stopped')
  await until(() => loop.takeWellness(), 'the first turn')
  await sleep(300)
  expect([loop.takeWellness(), loop.takeWellness(), loop.takeWellness()]).toEqual([true, true, true])
  loop.stop()
  expect(loop.takeWellness()).toBe(true)
  await ended
})

test('a loop that hangs is not', async () => {
  const loop = await makeLoop()
  let letGo = () => {}
  const hang = vi.spyOn(DirectoryWatcher.prototype, 'start').mockImplementation(
    () =>
      new Promise((resolve) => {
        letGo = resolve
      }),
  )
  const ended = loop.run('stopped')
  await sleep(100)
  expect(hang).toHaveBeenCalled()
  // What it had done before it hung counts once.
  loop.takeWellness()
  expect([loop.takeWellness(), loop.takeWellness()]).toEqual([false, false])
  hang.mockRestore()
  letGo()
  await until(() => loop.takeWellness(), 'the loop to go on')
  loop.stop()
  await ended
})
