// `nix-upload exec` around real builds, with every Nix: single-user, and as a user of nix-daemon.

import { existsSync, readdirSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { makeSite } from '../../integration/site.ts'
import { startNixDaemon } from '../../support/nix-daemon.ts'
import { everyNix } from '../../support/nix-versions.mjs'
import { startMoodyCache } from '../../support/servers/moody-cache.ts'
import { build } from '../cli.ts'
import { building, exec, leftIn, rootsLeft } from './bed.ts'

beforeAll(build)

describe.each(await everyNix())('$name', (version) => {
  test('a build that succeeds: uploaded, signed, and nothing is left', async () => {
    const site = await makeSite(version)
    const key = await site.nix.keyPair('ci-1')
    const command = await building(site, { name: 'app', deps: [{ name: 'library' }] })
    const args = ['--to', `file://${site.cache}`, '--secret-key-file', key.secretKeyFile]
    const { stdout, stderr, exitCode } = await exec(site, args, command)
    expect(exitCode, stderr).toBe(0)
    const paths = stdout.trim().split('\n')
    expect(paths).toHaveLength(1)
    expect(stderr).toMatch(/^nix-upload: 2 uploaded$/m)
    expect(await site.nix.substituteFrom(`file://${site.cache}`, paths, key.publicKey)).toMatchObject({
      exitCode: 0,
    })
    expect([leftIn(site.env.TMPDIR ?? ''), rootsLeft(site)]).toEqual([[], []])
  })

  test('a build that fails: its status is kept, and what was built before is uploaded', async () => {
    const site = await makeSite(version)
    const dep = await building(site, { name: 'good', content: 'good' })
    const failing = `derivation { name = "bad"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "exit 1"]; dep = import ${dep[2]}; }`
    const command = ['nix-build', '--no-out-link', '-E', failing]
    const { stderr, exitCode } = await exec(site, ['--to', `file://${site.cache}`], command)
    // nix-build has 100 for a build that failed; 2.34 has 1.
    const bare = await site.nix.run('nix-build', command.slice(1))
    expect(exitCode, stderr).toBe(bare.exitCode)
    expect(stderr).toMatch(
      new RegExp(`^nix-upload: 1 uploaded; the command ended with ${bare.exitCode}$`, 'm'),
    )
    expect(readdirSync(site.cache).filter((name) => name.endsWith('.narinfo'))).toHaveLength(1)
    expect([leftIn(site.env.TMPDIR ?? ''), rootsLeft(site)]).toEqual([[], []])
  })

  test('a user whom nix-daemon does not trust: refused before anything is started', async () => {
    const site = await makeSite(version)
    const client = await startNixDaemon(site.nix)
    onTestFinished(() => client.stop())
    const marker = join(client.home, 'started')
    const command = ['sh', '-c', `echo > ${marker}`]
    const { stderr, exitCode } = await exec(site, ['--to', `file://${client.home}/cache`], command, {
      env: client.env,
      before: client.as,
    })
    expect(stderr).toMatch(
      /^nix-upload: nothing was started, since nix-daemon ignores a post-build-hook of nobody/m,
    )
    expect(stderr).toMatch(/"extra-trusted-users = nobody" to \/etc\/nix\/nix.conf/)
    expect([exitCode, existsSync(marker), leftIn(client.home)]).toEqual([78, false, []])
  })

  test('nix-daemon is down: nothing is started, and Nix says why', async () => {
    const site = await makeSite(version)
    const client = await startNixDaemon(site.nix)
    await client.stop()
    const { stderr, exitCode } = await exec(site, ['--to', `file://${client.home}/cache`], ['true'], {
      env: client.env,
      before: client.as,
    })
    expect(stderr).toMatch(
      /^nix-upload: nothing was started, since Nix can't be asked whether it runs our hook: (cannot connect to socket|could not connect to any lix socket)/m,
    )
    expect([exitCode, leftIn(client.home)]).toEqual([1, []])
  })

  test('a user whom it trusts: root runs the hook, and the user uploads and cleans up', async () => {
    const site = await makeSite(version)
    await appendFile(join(site.nix.confDir, 'nix.conf'), 'trusted-users = root nobody\n')
    const client = await startNixDaemon(site.nix)
    onTestFinished(() => client.stop())
    const cache = await startMoodyCache()
    onTestFinished(() => cache.cleanup())
    const [program = '', ...rest] = await building(site, { name: 'by-nobody' })
    // What the workspace looked like while the build ran: the roots in particular.
    const look = `${program} ${rest.join(' ')} && ls -lR "$NIX_UPLOAD_GCROOTS" >&2`
    const { stdout, stderr, exitCode } = await exec(
      site,
      ['--to', cache.url],
      [
        'sh',
        '-c',
        `touch "$NIX_UPLOAD_SPOOL/paused"; ${look}; status=$?; rm "$NIX_UPLOAD_SPOOL/paused"; exit $status`,
      ],
      { env: client.env, before: client.as },
    )
    expect(exitCode, stderr).toBe(0)
    expect(stderr).toMatch(/^nix-upload: 1 uploaded$/m)
    expect(stderr, stderr).toContain(` -> ${stdout.trim()}`)
    expect(stderr).not.toMatch(/no GC roots/)
    expect(site.isCached(stdout.trim(), cache.dir)).toBe(true)
    expect([leftIn(client.home), rootsLeft(site)]).toEqual([[], []])
  })
})
