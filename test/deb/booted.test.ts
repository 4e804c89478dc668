// The Debian package, from the first installation to the purge, on booted machines, and builds that go on meanwhile.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { build } from '../cli/cli.ts'
import { until } from '../integration/daemon.ts'
import { SUITES } from '../support/machine-root.mjs'
import { must, runProgram } from '../support/run.ts'
import { Machine } from '../systemd/machine.ts'
import { typeSection } from '../tour/readme-page.ts'
import { whileBuilding } from './build-loop.ts'
import { discardCheckout, makeCheckout } from './checkout.ts'
import { Journey, NIX_CONF } from './install-steps.ts'

const SPOOL = 'var/spool/nix-upload'
const HOOK = 'etc/nix/nix-upload-hook'
/** After the one that README.md names. */
const NEW = '99.0.10'

let dir: string
let checkout: string
let newer: string

/** Makes the package without typing it; returns its file. */
async function makeDeb(...args: string[]): Promise<string> {
  const script = join(import.meta.dirname, '../../deb/build.ts')
  const env = { PATH: process.env.PATH ?? '', HOME: homedir(), TMPDIR: tmpdir(), SOURCE_DATE_EPOCH: '1' }
  const made = await runProgram(process.execPath, [script, '--out', dir, ...args], { env })
  return must(made, 'make the package').stdout
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nix-upload-debs-'))
  checkout = join(dir, 'checkout')
  makeCheckout(checkout)
  await build()
  newer = await makeDeb('--version', NEW)
}, 240_000)

afterAll(() => {
  discardCheckout(checkout)
  rmSync(dir, { recursive: true })
})

describe.each(SUITES)('Debian %s', (suite) => {
  let machine: Machine
  let other: Machine

  const jobs = (state: string) =>
    readdirSync(join(machine.root, SPOOL, state)).filter((name) => name.endsWith('.json'))
  const allDelivered = () => until(() => jobs('new').length + jobs('cur').length === 0, 'the uploads', 60_000)
  const installNewer = () => machine.do('apt-get', 'install', `/srv/${basename(newer)}`)

  beforeAll(async () => {
    machine = await Machine.make({ suite, npm: false })
    machine.write('etc/nix/nix.conf', NIX_CONF)
    await machine.boot()
    await machine.do('useradd', '--create-home', '--groups', 'nix-users', 'builder')
    cpSync(newer, join(machine.root, 'srv', basename(newer)))
    other = await Machine.make({ suite, npm: false, neighbour: machine })
    other.write('etc/nix/nix.conf', NIX_CONF)
    await other.boot()
  }, 120_000)

  afterAll(async () => {
    await other?.discard()
    await machine?.discard()
  })

  test('README.md: Install and Set up, as printed, until another machine has a signed path', {
    timeout: 120_000,
  }, async () => {
    const journey = new Journey(checkout, machine, other)
    await typeSection('Install', journey.installSteps, journey.run)
    await typeSection('Set up', journey.setUpSteps, journey.run)
    expect(existsSync(join(machine.root, 'etc/systemd/system/nix-upload.service'))).toBe(false)
    expect(jobs('done')).toEqual([expect.stringMatching(/-first\.json$/)])
    await other.off('power cut')
  })

  test('an upgrade fails no build and loses none, and what runs then is the new one', {
    timeout: 90_000,
  }, async () => {
    const before = jobs('done').length
    const { count, failed, queued } = await whileBuilding(machine, 'upgrade', async () => {
      await installNewer()
    })
    expect(failed).toEqual([])
    expect(count).toBeGreaterThan(2)
    expect(queued).toBe(count)
    await allDelivered()
    expect(jobs('done')).toHaveLength(before + count)
    const report = JSON.parse(machine.read(`${SPOOL}/daemon.json`))
    expect(report).toMatchObject({ version: NEW })
    const { stdout } = await machine.shell('nix-upload status')
    expect(stdout).toMatch(/^daemon {2}running, process \d+/m)
    expect(stdout).not.toContain('restart it')
  })

  test('what the service was started with has changed: status, doctor and init say what to type', {
    timeout: 60_000,
  }, async () => {
    const environment = 'etc/nix-upload/environment'
    const said = async () => (await machine.shell('nix-upload status')).stdout
    machine.write(environment, 'AWS_PROFILE=x\n', 0o600)
    const restart = 'systemctl restart nix-upload.service'
    expect(await said()).toContain(
      `restart it (${restart}): since it was started, /${environment} has changed`,
    )
    expect((await machine.shell('nix-upload doctor')).stdout).toMatch(
      new RegExp(`^ {9}→ Restart it:\n {15}${restart}$`, 'm'),
    )
    machine.write('etc/systemd/system/nix-upload.service.d/mine.conf', '[Service]\nNice=18\n')
    const all = `systemctl daemon-reload && ${restart}`
    expect((await machine.shell('nix-upload init --install --yes')).stdout).toContain(`    ${all}\n`)
    expect(await machine.shell(all)).toMatchObject({ exitCode: 0 })
    expect(await said()).not.toContain('restart it')
  })

  test('after its removal builds go on, and say that they are not queued', { timeout: 60_000 }, async () => {
    const { count, failed, queued } = await whileBuilding(machine, 'removal', async () => {
      await machine.do('apt-get', 'remove', '--yes', 'nix-upload')
    })
    expect(failed).toEqual([])
    expect(queued).toBeGreaterThan(0)
    expect(queued).toBeLessThan(count)
    expect(existsSync(join(machine.root, SPOOL))).toBe(true)
  })

  test('installed once more, it goes on as it was', { timeout: 60_000 }, async () => {
    await installNewer()
    expect(await machine.property('nix-upload.service', 'ActiveState')).toBe('active')
    const { count, queued } = await whileBuilding(machine, 'again', () => Promise.resolve())
    expect(queued).toBe(count)
    await allDelivered()
  })

  test('what policy-rc.d forbids, the package does not do', { timeout: 60_000 }, async () => {
    const pid = () => machine.property('nix-upload.service', 'MainPID')
    const before = await pid()
    machine.write(
      'usr/sbin/policy-rc.d',
      '#!/bin/sh\necho "$*" >> /srv/asked\n[ ! -e /srv/forbidden ] || exit 101\n',
      0o755,
    )
    machine.write('srv/forbidden', '')
    // As dpkg runs them, at the removal and at an installation.
    const prerm = () => machine.do('/var/lib/dpkg/info/nix-upload.prerm', 'remove')
    const postinst = () => machine.do('/var/lib/dpkg/info/nix-upload.postinst', 'configure', NEW)
    await prerm()
    await postinst()
    expect(await pid()).toBe(before)
    const asked = ['nix-upload-drain.path stop', 'nix-upload.service restart']
    expect(machine.read('srv/asked').trim().split('\n')).toEqual(asked)
    rmSync(join(machine.root, 'srv/forbidden'))
    await prerm()
    expect(await pid()).toBe('0')
    await postinst()
    expect(await pid()).not.toBe('0')
  })

  test('uninstall and a purge leave the key, the cache and a hook that fails no build', {
    timeout: 60_000,
  }, async () => {
    const uninstalled = await machine.shell('nix-upload uninstall')
    expect(uninstalled.exitCode, uninstalled.stderr).toBe(0)
    expect(uninstalled.stdout).toContain('    apt-get remove nix-upload\n')
    expect(machine.read('etc/nix/nix.conf')).toBe(NIX_CONF)
    expect(await machine.property('nix-daemon.socket', 'ActiveState')).toBe('active')
    const { failed } = await whileBuilding(machine, 'purge', async () => {
      await machine.do('systemctl', 'restart', 'nix-daemon')
      await machine.do('apt-get', 'purge', '--yes', 'nix-upload')
    })
    expect(failed).toEqual([])
    const kept = ['etc/nix-upload/cache.key', 'srv/cache/nix-cache-info', HOOK]
    const gone = [
      SPOOL,
      'nix/var/nix/gcroots/nix-upload',
      'var/lib/nix-upload',
      'etc/nix-upload/config.toml',
      'etc/systemd/system/multi-user.target.wants/nix-upload.service',
      'usr/lib/nix-upload',
    ]
    for (const path of kept) expect(existsSync(join(machine.root, path)), path).toBe(true)
    for (const path of gone) expect(existsSync(join(machine.root, path)), path).toBe(false)
    expect(await machine.run('systemctl', ['cat', 'nix-upload.service'])).not.toMatchObject({ exitCode: 0 })
  })
})

test('the same sources make the same package, wherever they are', async () => {
  const again = await makeDeb()
  expect(execFileSync('cmp', [again, join(checkout, basename(again))]).toString()).toBe('')
})
