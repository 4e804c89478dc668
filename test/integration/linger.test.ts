// `drain --linger`, which path units run: it ends when there is nothing left that would have it started again.

import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { until } from './daemon.ts'
import { makeSite } from './site.ts'

/** A program for a destination that is up when there is a file of that name. */
async function push(dir: string): Promise<{ program: string; isUp: string }> {
  const isUp = join(dir, 'up')
  const program = join(dir, 'push')
  await writeFile(program, `#!/bin/sh\n[ -e ${isUp} ] || exit 75\n`)
  await chmod(program, 0o755)
  return { program, isUp }
}

test('it stays until a destination that is down is back, and takes what comes meanwhile', {
  timeout: 90_000,
}, async () => {
  const site = await makeSite()
  const { program, isUp } = await push(site.nix.dir)
  const config = await site.configured(
    `[[destination]]\ncommand = ["${program}"]\nretry-min = "200ms"\nretry-max = "500ms"\n`,
  )
  await site.enqueue(await site.paths(1))
  const drain = site.start(['drain', '--linger', '1h', ...config])
  await drain.says('the destination is down')
  await site.enqueue(await site.paths(2))
  await writeFile(isUp, '')
  await site.settle('done', 3, 30_000)
  expect(await drain.exited).toBe(0)
})

test('75: the time is over', { timeout: 60_000 }, async () => {
  const site = await makeSite()
  const { program } = await push(site.nix.dir)
  const config = await site.configured(`[[destination]]\ncommand = ["${program}"]\n`)
  await site.enqueue(await site.paths(1))
  expect(await site.run(['drain', '--linger', '2s', ...config])).toMatchObject({ exitCode: 75 })
  expect(site.counts()).toEqual({ new: 1, cur: 0, done: 0, failed: 0 })
})

test('paused, or with something in new/ that is no job, it stays: systemd would start it again', {
  timeout: 90_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  await site.run(['pause'])
  await site.enqueue(await site.paths(1))
  await writeFile(site.path('new', 'left.reason'), '')
  const drain = site.start(['drain', '--linger', '1h'])
  await drain.says('paused: nothing is claimed until')
  await site.run(['resume'])
  await site.settle('done', 1)
  await rm(site.path('new', 'left.reason'), { force: true })
  expect(await drain.exited).toBe(0)
})

test('another one has the spool: it waits for that, and no longer than it may', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  const daemon = await site.watch()
  expect(await site.run(['drain', '--linger', '3s'])).toMatchObject({ exitCode: 75 })
  const drain = site.start(['drain', '--linger', '1h'])
  await daemon.stop()
  await site.enqueue(await site.paths(1))
  await site.settle('done', 1, 30_000)
  expect(await drain.stop()).toBe(0)
})

test.each(['', 'soon', '30d'])('2: --linger %j', async (duration) => {
  const site = await makeSite()
  expect(await site.run(['drain', '--linger', duration])).toMatchObject({ exitCode: 2 })
})

test('a service manager hears of it all, and the programs that are started do not', {
  timeout: 60_000,
}, async () => {
  const site = await makeSite()
  const bin = join(site.nix.dir, 'fake-bin')
  await mkdir(bin)
  const told = join(site.nix.dir, 'told')
  await writeFile(
    join(bin, 'systemd-notify'),
    `#!/bin/sh\nprintf '%s|' "$NOTIFY_SOCKET" "$@" >> ${told}\necho >> ${told}\n`,
  )
  const heard = join(site.nix.dir, 'heard')
  await writeFile(join(bin, 'push'), `#!/bin/sh\nenv > ${heard}\n`)
  for (const name of ['systemd-notify', 'push']) await chmod(join(bin, name), 0o755)
  const config = await site.configured(`stop-grace = "90s"\n[[destination]]\ncommand = ["${bin}/push"]\n`)
  const daemon = site.start(['watch', ...config], [], {
    PATH: `${bin}:${site.env.PATH}`,
    NOTIFY_SOCKET: '/run/told',
    WATCHDOG_USEC: '600000',
  })
  await site.enqueue(await site.paths(1))
  await site.settle('done', 1, 30_000)
  const said = () => readFile(told, 'utf8').catch(() => '')
  await until(async () => (await said()).split('|WATCHDOG=1|').length > 3, 'the watchdog to be fed')
  expect(await daemon.stop()).toBe(0)
  const lines = (await said()).split('\n')
  expect(lines[0]).toBe('/run/told|READY=1|STATUS=waiting for jobs|')
  expect(lines.join('\n')).toContain('|STOPPING=1|EXTEND_TIMEOUT_USEC=120000000|STATUS=stopping')
  expect(await readFile(heard, 'utf8')).not.toMatch(/NOTIFY_SOCKET|WATCHDOG/)
})
