// What doctor says to type on a broken machine is typed as it is printed, and then the machine is well: a Debian, and one
// that, like NixOS, has an /etc that nobody can write to.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Findings, findings } from '../cli/doctor/bed.ts'
import { must } from '../support/run.ts'
import { Machine } from './machine.ts'

let machine: Machine

beforeAll(async () => {
  machine = await Machine.make({ units: false })
  machine.write(
    'etc/nix/nix.conf',
    'sandbox = false\nsubstituters =\npost-build-hook = /usr/local/bin/nix-upload-hook\n',
  )
  await machine.boot()
  await machine.do('nix-upload', 'init', '--install', '--to', 'file:///srv/cache')
  await machine.do('systemctl', 'restart', 'nix-daemon')
  await machine.do('systemctl', 'enable', '--now', 'nix-upload.service')
  await machine.do('useradd', '--create-home', 'somebody')
}, 300_000)

afterAll(() => machine?.discard())

async function doctor(user = 'root'): Promise<Findings> {
  const { stdout, stderr, exitCode } = await machine.shell('nix-upload doctor --json', user)
  return findings(stdout, stderr, exitCode)
}

/** The lines that a remedy has behind four blanks. */
function linesOf({ remedy = '' }: { remedy?: string }): string[] {
  return [...remedy.matchAll(/^ {4}(.*)$/gm)].map(([, line = '']) => line)
}

/** Breaks things, and does what doctor says of each. */
async function mend(broken: string, names: string[]): Promise<void> {
  must(await machine.shell(`set -e; ${broken}`), `break: ${broken}`)
  const found = await doctor()
  expect(found.failed.sort()).toEqual([...names].sort())
  for (const name of names) {
    const lines = linesOf(found.of(name))
    expect(lines, `${name}: ${found.of(name).remedy}`).not.toEqual([])
    for (const line of lines) must(await machine.shell(line), `type what is said of ${name}: ${line}`)
  }
  const after = await doctor()
  expect(after.checks.filter(({ state }) => state === 'fail')).toEqual([])
}

test('whatever is broken of keys, directories, sandbox and hook', { timeout: 120_000 }, () => {
  const second = '[[destination]]\\nname = "second"\\nto = "file:///srv/second"\\n'
  const home =
    '[[destination]]\\nname = "home"\\nto = "file:///home/cache"\\nsecret-key-file = "/home/cache.key"\\n'
  return mend(
    [
      'chown root /etc/nix-upload/cache.key',
      'mkdir /srv/second',
      'install -d -o nix-upload /home/cache',
      'install -o nix-upload -m 400 /etc/nix-upload/cache.key /home/cache.key',
      `printf '${second}${home}' >> /etc/nix-upload/config.toml`,
      `sed -i '1i metrics-file = "/var/lib/prometheus/node-exporter/nix-upload.prom"' /etc/nix-upload/config.toml`,
      'systemctl restart nix-upload.service',
      "sed -i '/post-build-hook/d' /etc/nix/nix.conf",
      // The daemon would make it again at its start.
      'rm -r /var/spool/nix-upload/failed /nix/var/nix/gcroots/nix-upload',
    ].join('; '),
    ['key of cache', 'spool', 'GC roots', 'destination second', 'metrics', 'sandbox', 'hook'],
  )
})

test('what a home directory hid from the service is used by it then, and nothing else of that is seen', {
  timeout: 60_000,
}, async () => {
  const path = (await machine.do('nix-store', '--add', '/etc/nix/nix.conf')).trim()
  await machine.do('nix-upload', 'enqueue', path)
  await machine.do('nix-upload', 'wait', '--timeout', '1m')
  expect(machine.read(`home/cache/${path.slice(11, 43)}.narinfo`)).toMatch(/^Sig: /m)
  const daemon = await machine.property('nix-upload.service', 'MainPID')
  expect((await machine.do('ls', `/proc/${daemon}/root/home`)).split('\n')).toEqual(['cache', 'cache.key'])
})

test('the service may not talk to nix-daemon: no fault of the destination’s', {
  timeout: 60_000,
}, async () => {
  await mend(
    [
      "sed -i '/SupplementaryGroups/d' /etc/systemd/system/nix-upload.service.d/init.conf",
      'systemctl daemon-reload; systemctl restart nix-upload.service',
    ].join('; '),
    ['nix-daemon'],
  )
})

test('nix-daemon does not run, and neither does ours while something waits', {
  timeout: 60_000,
}, async () => {
  await machine.do('systemctl', 'stop', 'nix-upload.service')
  machine.write(
    'var/spool/nix-upload/new/waits.json',
    '{"outPaths":["/nix/store/00000000000000000000000000000000-x"]}\n',
  )
  await machine.do('touch', '/var/spool/nix-upload/paused')
  await mend('systemctl stop nix-daemon.socket nix-daemon.service', ['nix-daemon', 'daemon'])
  const paused = (await doctor()).of('queue')
  expect(linesOf(paused)).toEqual(['nix-upload resume'])
})

test('somebody else is told what he can’t see, and not that it is broken', { timeout: 60_000 }, async () => {
  const found = await doctor('somebody')
  expect(found.failed).toEqual([])
  for (const name of ['nix-daemon', 'key of cache', 'destination cache', 'hook'])
    expect(found.of(name)).toMatchObject({
      state: 'skipped',
      remedy: 'Run it as root:\n    nix-upload doctor',
    })
})

test('check-config says what the service will not be able to read', async () => {
  const config = '[[destination]]\nto = "file:///srv/cache"\nsecret-key-file = "/root/cache.key"\n'
  machine.write('root/closed.toml', config)
  await machine.do('cp', '/etc/nix-upload/cache.key', '/root/cache.key')
  const { stderr, exitCode } = await machine.shell('nix-upload check-config /root/closed.toml')
  expect([exitCode, stderr]).toEqual([
    0,
    expect.stringMatching(/user, nix-upload, can't read \/root\/cache\.key: chown/),
  ])
  expect(await machine.do('nix-upload', 'check-config')).toMatch(/is valid/)
})

test('on a machine whose /etc is made by its configuration', { timeout: 60_000 }, async () => {
  machine.write('etc/NIXOS', '')
  machine.write('etc/tmpfiles.d/nix-upload.conf', machine.read('etc/tmpfiles.d/nix-upload.conf'))
  await machine.do('mount', '--bind', '/etc', '/etc')
  await machine.do('mount', '-o', 'remount,ro,bind', '/etc')
  await mend('rm -r /var/spool/nix-upload/tmp /nix/var/nix/gcroots/nix-upload', ['spool', 'GC roots'])
  await machine.do('umount', '/etc')
})
