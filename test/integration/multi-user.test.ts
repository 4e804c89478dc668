// A machine as Nix's installer leaves it, with every Nix: nix-daemon builds as users made for that, who has something built is
// trusted with nothing, and uploads are the work of a third user.

import { readdirSync, rmSync } from 'node:fs'
import { appendFile, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runAs, startNixDaemon, withBuildUsers } from '../support/nix-daemon.ts'
import { everyNix, type NixVersion } from '../support/nix-versions.mjs'
import { must, type RunResult } from '../support/run.ts'
import { HOOK, makeSite, NIX_UPLOAD, type Site } from './site.ts'

/** Whom Debian calls `daemon`. */
const SERVICE = 1
/** Nix builds as other users in no store below a directory that anybody may write to, as that for temporary files is. */
const NOT_EVERYBODYS = '/run'

interface MultiUser {
  site: Site
  /** The flags for the service's configuration. */
  config: string[]
  /** To start the service with. */
  before: string[]
  env: Record<string, string>
  /** Runs a command as the user who builds, in a directory of that user's. */
  byBuilder(...command: string[]): Promise<RunResult>
  /** Runs a command of `nix-upload` as the user of the service. */
  byService(...args: string[]): Promise<RunResult>
  /** Has the builder build something that depends on something else; returns both paths. `result` links to it. */
  build(name: string): Promise<string[]>
}

async function multiUser(version: NixVersion, to?: (home: string) => string): Promise<MultiUser> {
  const site = await makeSite(version, NOT_EVERYBODYS)
  const { nix } = site
  await site.makeSpool()
  const home = join(nix.dir, 'service')
  for (const path of [site.cache, home]) await mkdir(path)
  const key = await nix.keyPair('ours-1')
  const states = (['tmp', 'new', 'cur', 'done', 'failed'] as const).map((state) => site.path(state))
  for (const path of [key.secretKeyFile, home, site.cache, site.gcroots, site.spool, ...states])
    await chown(path, SERVICE, SERVICE)
  const config = await site.configured(
    `[[destination]]\nto = "${to?.(home) ?? `file://${site.cache}`}"\nsecret-key-file = "${key.secretKeyFile}"\nverify = true\n`,
  )
  const conf = `post-build-hook = ${HOOK}\ntrusted-public-keys = ${key.publicKey}\n`
  await appendFile(join(nix.confDir, 'nix.conf'), conf)
  const hook = { NIX_UPLOAD_SPOOL: site.spool, NIX_UPLOAD_GCROOTS: site.gcroots }
  const builder = await startNixDaemon(nix, hook, await withBuildUsers(nix))
  onTestFinished(() => builder.stop())
  const run = ([program = '', ...args]: string[], more: Record<string, string>, cwd: string) =>
    nix.run(program, args, { env: { ...site.env, ...more }, cwd })
  const byBuilder = (...command: string[]) => run([...builder.as, ...command], builder.env, builder.home)
  const before = runAs(SERVICE, SERVICE)
  const env = { ...builder.env, HOME: home, XDG_CACHE_HOME: join(home, 'cache'), TMPDIR: home }
  const byService = (...args: string[]) => run([...before, NIX_UPLOAD, ...args, ...config], env, '/')

  const build = async (name: string) => {
    const derivation = (what: string, needs: string) =>
      `derivation { name = "${what}"; needs = ${needs}; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "/usr/bin/id -un > $out; echo $needs >> $out"]; }`
    const expression = derivation(name, derivation(`${name}-library`, '""'))
    const built = must(await byBuilder('nix-build', '-E', expression), `build ${name}`)
    const closure = await byBuilder('nix-store', '--query', '--requisites', built.stdout)
    return must(closure, 'ask for the closure').stdout.split('\n')
  }
  return { site, config, before, env, byBuilder, byService, build }
}

describe.each(await everyNix())('with $name', (version) => {
  test('what anybody builds is queued by root, and delivered and read back by the service', async () => {
    const { site, config, before, env, byBuilder, build } = await multiUser(version)
    const daemon = site.start(['watch', ...config], before, env)
    await daemon.says('"watching"')
    const paths = await build('app')
    await site.settle('done', 2)
    expect((await byBuilder('cat', ...paths)).stdout).toMatch(/^nixbld\d\n\nnixbld\d\n.*-app-library$/)
    for (const path of paths) expect(site.narinfo(path)).toMatch(/^Sig: ours-1:/m)
    expect(site.roots()).toEqual([])

    // Who builds may look, and nothing else.
    const status = must(await byBuilder(NIX_UPLOAD, 'status', '--json', ...config), 'ask for the status')
    expect(JSON.parse(status.stdout)).toMatchObject({
      daemon: { running: true, pid: daemon.pid },
      jobs: { new: 0, cur: 0, done: 2, failed: 0 },
      destinations: [{ name: 'default', state: 'ok' }],
    })
    const refused = await byBuilder(NIX_UPLOAD, 'enqueue', './result', ...config)
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' })
    expect(refused.stderr).toMatch(
      /^nix-upload: permission denied: \S+; \S+\/spool\/tmp belongs to daemon: run this as daemon or as root$/,
    )
    expect(await daemon.stop()).toBe(0)
  })

  test('in path mode; what was built before there was a hook, and what somebody’s result links to', async () => {
    const { site, byBuilder, byService, build } = await multiUser(version)
    const paths = await build('early')
    // As if the hook had not run.
    for (const name of site.names('new')) rmSync(site.path('new', name))
    for (const name of site.roots()) rmSync(join(site.gcroots, name))
    const filled = must(await byService('backfill', '--since', '1h'), 'queue what was built')
    expect(filled.stderr).toMatch(/^nix-upload: 2 jobs queued, of 2 paths built here/m)
    must(await byService('drain'), 'deliver it')
    expect(paths.map((path) => site.isCached(path))).toEqual([true, true])

    const [app = ''] = (await build('late')).slice(-1)
    must(await byService('drain'), 'deliver what the hook queued')
    expect(site.counts()).toEqual({ new: 0, cur: 0, done: 4, failed: 0 })
    expect(site.isCached(app)).toBe(true)

    const result = (await byBuilder('realpath', '-s', 'result')).stdout
    for (const name of readdirSync(site.cache)) {
      if (name.endsWith('.narinfo')) rmSync(join(site.cache, name))
    }
    const queued = must(await site.run(['enqueue', result]), 'queue it as root')
    expect((await site.nix.run('stat', ['-c', '%U', site.path('new', queued.stdout)])).stdout).toBe('daemon')
    must(await byService('drain'), 'deliver it')
    expect(site.isCached(app)).toBe(true)
    expect([site.counts().done, site.roots()]).toEqual([5, []])
  })
  test('the service, which nix-daemon does not trust, signs for another store, but not with Nix 2.8', async () => {
    const { site, build, byService } = await multiUser(version, (home) => `local?root=${home}/other`)
    await build('app')
    const drained = await byService('drain')
    if (version.version === '2.8.0') {
      expect(drained.exitCode).toBe(75)
      expect(drained.stderr).toMatch(/add the user that uploads to trusted-users in nix\.conf; Nix says: /)
    } else {
      expect([must(drained, 'deliver it').exitCode, site.counts().done]).toEqual([0, 2])
    }
  })
})
