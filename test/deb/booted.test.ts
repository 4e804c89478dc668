// The Debian package, from the first installation to the purge, on booted machines, and builds that go on meanwhile.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { SUITES } from '../support/machine-root.mjs'
import { must, runProgram } from '../support/run.ts'
import { Machine } from '../systemd/machine.ts'
import { whileBuilding } from './build-loop.ts'

const SPOOL = 'var/spool/nix-upload'
const HOOK = 'etc/nix/nix-upload-hook'
const NIX_CONF = `sandbox = false\nsubstituters =\n`
const [OLD, NEW] = ['0.0.9', '0.0.10'] as const

let dir: string

/** Makes the package; returns its file. */
async function makeDeb(version: string, out = dir): Promise<string> {
  const args = [join(import.meta.dirname, '../../deb/build.ts'), '--out', out, '--version', version]
  const env = { PATH: process.env.PATH ?? '', HOME: homedir(), TMPDIR: tmpdir() }
  return must(await runProgram(process.execPath, args, { env }), 'make the package').stdout
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'nix-upload-debs-'))
  mkdirSync(join(dir, 'again'))
  await Promise.all([makeDeb(OLD), makeDeb(NEW), makeDeb(OLD, join(dir, 'again'))])
}, 240_000)

afterAll(() => rmSync(dir, { recursive: true }))

test('the same sources make the same package', () => {
  const [again = ''] = readdirSync(join(dir, 'again'))
  expect(execFileSync('cmp', [join(dir, again), join(dir, 'again', again)]).toString()).toBe('')
})

describe.each(SUITES)('Debian %s', (suite) => {
  let machine: Machine

  /** Runs dpkg on it, as root. */
  const dpkg = (...args: string[]) => machine.do('dpkg', ...args)
  const debOf = (version: string) => {
    const file = readdirSync(dir).find((name) => name.includes(`_${version}_`)) ?? ''
    cpSync(join(dir, file), join(machine.root, 'srv', basename(file)))
    return `/srv/${file}`
  }
  const jobs = (state: string) =>
    readdirSync(join(machine.root, SPOOL, state)).filter((name) => name.endsWith('.json'))
  const allDelivered = () => until(() => jobs('new').length + jobs('cur').length === 0, 'the uploads', 60_000)

  beforeAll(async () => {
    machine = await Machine.make({ suite, npm: false })
    machine.write('etc/nix/nix.conf', NIX_CONF)
    await machine.boot()
    await machine.do('useradd', '--create-home', '--groups', 'nix-users', 'builder')
  }, 120_000)

  afterAll(() => machine?.discard())

  test('it is installed with nothing but dpkg, and init sets it up', { timeout: 90_000 }, async () => {
    expect(await dpkg('--install', debOf(OLD))).toContain(
      'to set it up, type: nix-upload init --install --to URL',
    )
    const { stdout, stderr, exitCode } = await machine.shell(
      'nix-upload init --install --to file:///srv/cache',
    )
    expect(exitCode, stderr).toBe(0)
    const line = `post-build-hook = /${HOOK}`
    expect(stdout).toContain(`    ${line}\n`)
    expect(existsSync(join(machine.root, 'etc/systemd/system/nix-upload.service'))).toBe(false)
    machine.write('etc/nix/nix.conf', `${NIX_CONF}${line}\n`)
    const commands = stdout.match(/^ {4}(?:systemctl|nix-build|nix-upload wait) .*/gm) ?? []
    expect(commands).toHaveLength(4)
    for (const command of commands) expect(await machine.shell(command)).toMatchObject({ exitCode: 0 })
    expect(jobs('done')).toEqual([expect.stringMatching(/-first-upload\.json$/)])
    const doctor = await machine.shell('nix-upload doctor')
    expect(doctor.exitCode, doctor.stdout).toBe(0)
    expect(doctor.stdout).toMatch(/^ok {7}hook: \/etc\/nix\/nix-upload-hook$/m)
  })

  test('an upgrade fails no build and loses none, and what runs then is the new one', {
    timeout: 90_000,
  }, async () => {
    const before = jobs('done').length
    const { count, failed, queued } = await whileBuilding(machine, 'upgrade', async () => {
      await dpkg('--install', debOf(NEW))
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
      await dpkg('--remove', 'nix-upload')
    })
    expect(failed).toEqual([])
    expect(queued).toBeGreaterThan(0)
    expect(queued).toBeLessThan(count)
    expect(existsSync(join(machine.root, SPOOL))).toBe(true)
  })

  test('installed once more, it goes on as it was', { timeout: 60_000 }, async () => {
    await dpkg('--install', debOf(NEW))
    expect(await machine.property('nix-upload.service', 'ActiveState')).toBe('active')
    const { count, queued } = await whileBuilding(machine, 'again', () => Promise.resolve())
    expect(queued).toBe(count)
    await allDelivered()
  })

  test('uninstall and a purge leave the key, the cache and a hook that fails no build', {
    timeout: 60_000,
  }, async () => {
    const uninstalled = await machine.shell('nix-upload uninstall')
    expect(uninstalled.exitCode, uninstalled.stderr).toBe(0)
    expect(uninstalled.stdout).toContain('    apt-get remove nix-upload\n')
    expect(machine.read('etc/nix/nix.conf')).toBe(NIX_CONF)
    const { failed } = await whileBuilding(machine, 'purge', async () => {
      await dpkg('--purge', 'nix-upload')
    })
    expect(failed).toEqual([])
    const kept = ['etc/nix-upload/cache.key', 'srv/cache/nix-cache-info', HOOK]
    const gone = [
      SPOOL,
      'nix/var/nix/gcroots/nix-upload',
      'var/lib/nix-upload',
      'etc/nix-upload/config.toml',
      'usr/lib/nix-upload',
    ]
    for (const path of kept) expect(existsSync(join(machine.root, path)), path).toBe(true)
    for (const path of gone) expect(existsSync(join(machine.root, path)), path).toBe(false)
    expect(await machine.run('systemctl', ['cat', 'nix-upload.service'])).not.toMatchObject({ exitCode: 0 })
  })
})
