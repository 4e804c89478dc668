// A server that accepts and never answers: the progress time-out ends what waits for it, all of it.

import { expect, onTestFinished, test } from 'vitest'
import { descendantsOf, until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'
import { remoteNix } from '../support/servers/remote-nix.ts'
import { startSshServer } from '../support/servers/ssh-server.ts'
import { deliveries, versions } from './bed.ts'

const SETTINGS = 'progress-timeout = "1s"\nretry-min = "500ms"\nmax-attempts = 1\n'

test.each([
  { via: 'nix', when: 'at once', scope: {} },
  { via: 'nix', when: 'in the midst of a path', scope: { method: 'PUT' as const, path: /^\/nar\// } },
  { via: 'stage', when: 'in the midst of a path', scope: { method: 'PUT' as const, path: /^\/nar\// } },
])('http via $via, silent $when, with every version of Nix', async ({ via, scope }) => {
  await Promise.all(
    versions.map(async (version) => {
      const site = await makeSite(version)
      await site.makeSpool()
      const cache = await startMoodyCache()
      onTestFinished(() => cache.cleanup())
      cache.behave({ stallAfter: 0 }, scope)
      const [path = ''] = await site.paths(1)
      await site.enqueue([path])
      const config = `[[destination]]\nto = "${cache.url}"\nvia = "${via}"\n${SETTINGS}`
      const daemon = await site.watch(await site.configured(config))
      expect(JSON.parse(await daemon.says('the destination is down', 60_000)).error).toMatch(
        /does not answer in time|stands still|nothing moved for 1s/,
      )
      cache.calm()
      await site.settle('done', 1, 60_000)
      expect(await deliveries(site, 'done')).toMatchObject([{ state: 'done', attempts: 0 }])
      // One is kept for the next question for a few seconds.
      await until(() => descendantsOf(daemon.pid).length === 0, 'nothing to be left of Nix')
    }),
  )
})

test('ssh, silent at the other end: Nix, ssh and all are gone', async () => {
  const site = await makeSite()
  const server = await startSshServer()
  onTestFinished(() => server.stop())
  const remote = await remoteNix(site.nix, 'remote', { before: 'exec sleep 1000' })
  await site.enqueue(await site.paths(1))
  const config = await site.configured(
    `[[destination]]\nto = "${remote.ssh}"\n${SETTINGS.replace('500ms', '1h')}`,
  )
  const daemon = site.start(['watch', ...config], [], { NIX_SSHOPTS: server.sshopts() })
  await until(() => descendantsOf(daemon.pid).length >= 2, 'Nix and ssh to be at work')
  const line = JSON.parse(await daemon.says('the destination is down', 60_000))
  expect(line.error).toMatch(/^no sign of life for too long/)
  await until(() => descendantsOf(daemon.pid).length === 0, 'all of it to be gone')
  await daemon.stop()
  expect(await deliveries(site, 'new')).toMatchObject([{ state: 'waiting', attempts: 0 }])
})
