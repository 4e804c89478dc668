// Who can exchange, read or hold up what is packed for an upload: nobody but the service's user and root.

import { createHash } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { deliveries } from '../delivery/bed.ts'
import { until } from '../integration/daemon.ts'
import { makeSite } from '../integration/site.ts'
import { startMoodyCache } from '../support/servers/moody-cache.ts'

const NOBODY = 65_534

async function siteAndCache() {
  expect(process.geteuid?.(), 'this is about another user').toBe(0)
  const site = await makeSite()
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  const [path = ''] = await site.paths(1)
  await site.enqueue([path])
  const configured = (stage?: string) =>
    site.configured(
      `${stage === undefined ? '' : `stage = "${stage}"\n`}[[destination]]\nto = "${cache.url}"\n`,
    )
  return { site, cache, path, configured }
}

test('nobody else may look into it or write to it, whatever the umask', async () => {
  const { site, cache, configured } = await siteAndCache()
  cache.behave({ stallAfter: 1 }, { method: 'PUT', path: /nar/ })
  site.start(['watch', ...(await configured())], ['sh', '-c', 'umask 0; exec "$0" "$@"'])
  await until(() => cache.count('PUT', /nar/) === 1, 'the upload to be under way')
  const stage = join(site.spool, 'stage')
  chmodSync(site.nix.dir, 0o755)
  const asNobody = (...command: string[]) =>
    site.nix.run('setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--', ...command])
  expect(readdirSync(stage)).toHaveLength(1)
  expect(await asNobody('ls', site.spool)).toMatchObject({ exitCode: 0 })
  expect(await asNobody('ls', stage)).not.toMatchObject({ exitCode: 0 })
  expect(await asNobody('touch', join(stage, 'x'))).not.toMatchObject({ exitCode: 0 })
  const open = await site.nix.run('find', [stage, '-mindepth', '1', '-maxdepth', '1', '-perm', '/077'])
  expect(open.stdout).toBe('')
})

test.each([
  { what: 'belongs to somebody else', make: (stage: string) => chownSync(stage, NOBODY, NOBODY) },
  { what: 'is for all to write to', make: (stage: string) => chmodSync(stage, 0o777) },
])('one that $what is not used', async ({ make }) => {
  const { site, cache, configured } = await siteAndCache()
  const stage = join(site.nix.dir, 'elsewhere')
  mkdirSync(stage)
  make(stage)
  expect(await site.run(['drain', ...(await configured(stage))])).toMatchObject({ exitCode: 75 })
  const [record] = await deliveries(site, 'new')
  expect(record).toMatchObject({ attempts: 0, error: expect.stringContaining('is in the hands of others') })
  expect(readdirSync(stage)).toEqual([])
  expect(cache.count('PUT', /nar/)).toBe(0)
})

test('nor is one that a symlink of somebody else’s leads to', async () => {
  const { site, configured } = await siteAndCache()
  const [stage, ours] = [join(site.nix.dir, 'link'), join(site.nix.dir, 'ours')]
  mkdirSync(ours)
  symlinkSync(ours, stage)
  await site.nix.run('chown', ['-h', `${NOBODY}`, stage])
  expect(await site.run(['drain', ...(await configured(stage))])).toMatchObject({ exitCode: 75 })
  expect(readdirSync(ours)).toEqual([])
})

test('in a shared directory nothing that others put there by our names is used, removed or in the way', async () => {
  const { site, cache, path, configured } = await siteAndCache()
  const stage = join(site.nix.dir, 'shared')
  mkdirSync(stage)
  chmodSync(stage, 0o1777)
  const prefix = createHash('sha256').update(site.spool).digest('hex').slice(0, 12)
  const planted = ['pool-0', 'pool-', 'run-', 'run-0'].map((name) => join(stage, `${prefix}-${name}`))
  for (const name of planted) {
    mkdirSync(join(name, 'nar'), { recursive: true })
    await site.nix.run('chown', ['-R', `${NOBODY}`, name])
  }
  const { exitCode, stderr } = await site.run(['drain', ...(await configured(stage))])
  expect(exitCode, stderr).toBe(0)
  expect(stderr).not.toMatch(/"warn"|"error"/)
  expect(site.isCached(path, cache.dir)).toBe(true)
  expect(readdirSync(stage).sort()).toEqual(planted.map((name) => name.slice(stage.length + 1)).sort())
  for (const name of planted) expect(readdirSync(join(name, 'nar'))).toEqual([])
})
