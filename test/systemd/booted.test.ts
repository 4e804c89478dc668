// The units, booted for real. Slow: about a minute once the machine's root is in the cache.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { Machine } from './machine.ts'

const SPOOL = 'var/spool/nix-upload'
const UNITS = [
  'nix-upload.service',
  'nix-upload-drain.service',
  'nix-upload-drain.path',
  'nix-upload-drain.timer',
]
const SERVICES = ['nix-upload.service', 'nix-upload-drain.service']

/** A program of the user's for a destination: what it does is up to which files lie in the daemon's home. */
const PUSH = `#!/bin/sh
cd /var/lib/nix-upload || exit 75
echo "$@" >> pushed
[ ! -e slow ] || { touch started; sleep 600; }
[ -e up ] || { echo "no route to host" >&2; exit 75; }
`

const CONFIG = `metrics-listen = "127.0.0.1:9850"
stop-grace = "1s"
rescan-interval = "1s"
[[destination]]
name = "cache"
to = "file:///srv/cache"
secret-key-file = "credential:cache-key"
[[destination]]
name = "push"
command = ["/usr/local/bin/push"]
retry-min = "300ms"
retry-max = "1s"
[[destination]]
name = "web"
to = "http://localhost:8080"
`

/** An http cache that takes everything: names are looked up and sockets opened under the units' restrictions. */
const WEB = `const files = new Map()
require('node:http').createServer(async (request, response) => {
  if (request.method === 'PUT') files.set(request.url, Buffer.concat(await request.toArray()))
  const file = files.get(request.url)
  response.writeHead(file ? 200 : 404).end(request.method === 'GET' ? file : undefined)
}).listen(8080)
`

/** What an administrator adds, and shorter times for a test. */
const DROP_IN = `[Service]
LoadCredential=cache-key:/etc/nix/key.private
ReadWritePaths=/srv/cache
SupplementaryGroups=nix-users
`

let machine: Machine
let count = 0

/** Builds something as an ordinary user, with the hook; returns its path. */
async function build(name: string): Promise<string> {
  const built = `${name}-${++count}`
  const derivation = `derivation { name = "${built}"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "echo ${built} > $out"]; }`
  const result = await machine.shell(`nix-build --no-out-link -E '${derivation}'`, 'builder')
  expect(result, result.stderr).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining('nix-upload: queued '),
  })
  return result.stdout.trim()
}

/** The jobs in a directory of the spool whose name has this in it. */
function jobs(state: string, path: string): string[] {
  const name = path.slice(path.indexOf('-') + 1)
  return readdirSync(join(machine.root, SPOOL, state)).filter((file) => file.endsWith(`-${name}.json`))
}

async function delivered(path: string): Promise<void> {
  const state = () => ['new', 'cur', 'failed'].filter((name) => jobs(name, path).length > 0)
  await until(
    () => jobs('done', path).length === 1,
    () => `${path}, which is in ${state()}`,
    30_000,
  )
}

const home = (name: string) => join('var/lib/nix-upload', name)
const isActive = async (unit: string) => (await machine.run('systemctl', ['is-active', unit])).stdout
const starts = async (unit: string) =>
  (await machine.journal(unit)).split('\n').filter((line) => line.startsWith('Started ')).length

beforeAll(async () => {
  machine = await Machine.make()
  machine.write(
    'etc/nix/nix.conf',
    'sandbox = false\nsubstituters =\npost-build-hook = /usr/local/bin/nix-upload-hook\n',
  )
  machine.write('etc/nix-upload/config.toml', CONFIG)
  machine.write('usr/local/bin/push', PUSH, 0o755)
  for (const unit of SERVICES) machine.write(`etc/systemd/system/${unit}.d/local.conf`, DROP_IN)
  const quick = '[Service]\nWatchdogSec=6s\nRestartSec=200ms\n'
  machine.write('etc/systemd/system/nix-upload.service.d/quick.conf', quick)
  await machine.boot()
  await machine.do('useradd', '--create-home', '--groups', 'nix-users', 'builder')
  await machine.do(
    'sh',
    '-c',
    'nix-store --generate-binary-cache-key test-1 /etc/nix/key.private /etc/nix/key.public',
  )
  await machine.do('install', '-d', '-o', 'nix-upload', '/srv/cache')
  machine.write(
    'etc/systemd/system/web.service',
    '[Service]\nExecStart=node /srv/web.cjs\n[Install]\nWantedBy=multi-user.target\n',
  )
  machine.write('srv/web.cjs', WEB)
  // So small a system has none, and curl alone knows what localhost is without.
  machine.write('etc/hosts', '127.0.0.1 localhost\n')
  await machine.do('systemctl', 'enable', '--now', 'web.service')
}, 300_000)

afterAll(() => machine?.discard())

test('sysusers and tmpfiles made the user and the directories', async () => {
  const directories = ['', '/tmp', '/new', '/cur', '/done', '/failed'].map((name) => `/${SPOOL}${name}`)
  const all = [...directories, '/nix/var/nix/gcroots/nix-upload']
  const owners = await machine.do('stat', '--format=%U:%G %a', ...all)
  expect(new Set(owners.trim().split('\n'))).toEqual(new Set(['nix-upload:nix-upload 755']))
  expect(await machine.do('systemd-tmpfiles', '--create', 'nix-upload.conf')).toBe('')
})

test('systemd-analyze verify has nothing to say', async () => {
  const { stdout, stderr, exitCode } = await machine.run('systemd-analyze', ['verify', ...UNITS])
  expect({ stdout, stderr, exitCode }).toEqual({ stdout: '', stderr: '', exitCode: 0 })
})

test.each(SERVICES)('%s is exposed 2.0 at most', async (unit) => {
  const { stdout } = await machine.run('systemd-analyze', [
    'security',
    '--offline=yes',
    '--no-pager',
    `/etc/systemd/system/${unit}`,
  ])
  const [, exposure] = /Overall exposure level for \S+: (\d+\.\d)/.exec(stdout) ?? []
  console.log(`${unit}: exposure ${exposure}`)
  expect(Number(exposure)).toBeLessThanOrEqual(2)
})

test('daemon mode: built by an ordinary user, signed by a key that only root can read, uploaded', {
  timeout: 60_000,
}, async () => {
  machine.write(home('up'), '')
  await machine.do('systemctl', 'enable', '--now', 'nix-upload.service')
  expect(await machine.property('nix-upload.service', 'ActiveState')).toBe('active')
  expect(await machine.property('nix-upload.service', 'StatusText')).toBe('waiting for jobs')
  const path = await build('daemon')
  await delivered(path)
  const narinfo = machine.read(`srv/cache/${path.slice(11, 43)}.narinfo`)
  expect(narinfo).toMatch(/^Sig: test-1:/m)
  expect(machine.read(home('pushed'))).toContain(path)
  const remote = [
    '--extra-experimental-features',
    'nix-command',
    'path-info',
    '--store',
    'http://localhost:8080',
  ]
  expect(await machine.do('nix', ...remote, path)).toContain(path)
  const key = await machine.run('setpriv', [
    '--reuid=nix-upload',
    '--clear-groups',
    'cat',
    '/etc/nix/key.private',
  ])
  expect(key).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Permission denied') })
  expect(readdirSync(join(machine.root, 'nix/var/nix/gcroots/nix-upload'))).toEqual([])
  // Fetched back into an empty store, by who trusts the key.
  const trusted = machine.read('etc/nix/key.public')
  const args = ['--extra-experimental-features', 'nix-command', '--option', 'trusted-public-keys', trusted]
  await machine.do('nix', ...args, 'copy', '--from', 'file:///srv/cache', '--to', '/root/other', path)
  expect(machine.read(join('root/other', path))).toMatch(/^daemon-/)
})

test('the page is shown under the restrictions of the unit', async () => {
  const fetched = "fetch('http://localhost:9850/').then((page) => page.text()).then(console.log)"
  expect(await machine.do('node', '--eval', fetched)).toContain('<h1>Nothing waits.</h1>')
})

test('restart in mid-upload: the job goes out after it', { timeout: 60_000 }, async () => {
  machine.write(home('slow'), '')
  const path = await build('restart')
  await until(() => readdirSync(join(machine.root, home(''))).includes('started'), 'the upload to begin')
  await machine.do('rm', `/${home('slow')}`)
  await machine.do('systemctl', 'restart', 'nix-upload.service')
  await delivered(path)
  expect(await machine.journal('nix-upload.service')).not.toMatch(/SIGKILL|timed out/)
})

test('a daemon that hangs is started again by the watchdog; one that is idle is not', {
  timeout: 60_000,
}, async () => {
  const unit = 'nix-upload.service'
  const pid = await machine.property(unit, 'MainPID')
  // More than twice as long as a daemon may be silent.
  await sleep(14_000)
  expect(await machine.property(unit, 'MainPID')).toBe(pid)
  expect(await machine.property(unit, 'NRestarts')).toBe('0')
  await machine.do('systemctl', 'kill', '--kill-whom=main', '--signal=STOP', unit)
  const restarted = async () => (await machine.property(unit, 'NRestarts')) === '1'
  await until(restarted, 'the watchdog', 30_000)
  expect(await machine.journal(unit)).toContain('Watchdog timeout (limit 6s)!')
  const path = await build('watchdog')
  await delivered(path)
  expect(await machine.property(unit, 'ActiveState')).toBe('active')
})

test.each(['in order', 'power cut'] as const)(
  'reboot (%s) with jobs waiting: none is lost',
  { timeout: 90_000 },
  async (how) => {
    await machine.do('rm', `/${home('up')}`)
    const path = await build('reboot')
    const isDown = async () =>
      (await machine.property('nix-upload.service', 'StatusText')).includes('push is down')
    await until(isDown, 'the status to say that it is down')
    await machine.off(how)
    const state = how === 'in order' ? 'new' : 'cur'
    expect([...jobs('new', path), ...jobs('cur', path)]).toHaveLength(1)
    if (how === 'in order') expect(jobs(state, path)).toHaveLength(1)
    await machine.boot()
    await until(async () => (await isActive('nix-upload.service')) === 'active', 'the daemon')
    expect([...jobs('new', path), ...jobs('cur', path)]).toHaveLength(1)
    machine.write(home('up'), '')
    await delivered(path)
  },
)

test('path mode: a build starts the drain, which then ends', { timeout: 60_000 }, async () => {
  await machine.do('systemctl', 'disable', '--now', 'nix-upload.service')
  await machine.do('systemctl', 'enable', '--now', 'nix-upload-drain.path', 'nix-upload-drain.timer')
  expect(await isActive('nix-upload-drain.service')).toBe('inactive')
  const path = await build('path')
  await delivered(path)
  await until(async () => (await isActive('nix-upload-drain.service')) === 'inactive', 'the drain to end')
  expect(await isActive('nix-upload-drain.path')).toBe('active')
})

test('path mode: a destination that is down makes nothing spin, and holds no other up', {
  timeout: 60_000,
}, async () => {
  await machine.do('rm', `/${home('up')}`)
  const before = await starts('nix-upload-drain.service')
  const path = await build('down')
  await until(
    async () => (await machine.property('nix-upload-drain.service', 'StatusText')).includes('push is down'),
    'push to be down',
  )
  await sleep(4_000)
  const later = await build('later')
  const narinfo = `${later.slice(11, 43)}.narinfo`
  await until(() => readdirSync(join(machine.root, 'srv/cache')).includes(narinfo), 'the other destination')
  expect((await starts('nix-upload-drain.service')) - before).toBe(1)
  expect(await isActive('nix-upload-drain.service')).toBe('active')
  expect(await machine.do('systemctl', 'list-jobs', '--no-legend')).not.toContain('nix-upload')
  machine.write(home('up'), '')
  await Promise.all([delivered(path), delivered(later)])
  await until(async () => (await isActive('nix-upload-drain.service')) === 'inactive', 'the drain to end')
  expect(await isActive('nix-upload-drain.path')).toBe('active')
})

test('path mode: what ends the drain at once stops the path unit, and the timer mends that', {
  timeout: 60_000,
}, async () => {
  machine.write(
    'etc/systemd/system/nix-upload-drain.service.d/quick.conf',
    '[Unit]\nStartLimitIntervalSec=15s\nStartLimitBurst=2\n',
  )
  machine.write(
    'etc/systemd/system/nix-upload-drain.timer.d/quick.conf',
    '[Timer]\nOnUnitInactiveSec=\nOnUnitInactiveSec=5s\nAccuracySec=100ms\nRandomizedDelaySec=0\n',
  )
  await machine.do('systemctl', 'daemon-reload')
  machine.write('etc/nix-upload/config.toml', 'spool = 1\n')
  const path = await build('broken')
  await until(async () => (await isActive('nix-upload-drain.path')) === 'failed', 'the path unit to give up')
  await machine.do('systemctl', 'restart', 'nix-upload-drain.timer')
  machine.write('etc/nix-upload/config.toml', CONFIG)
  await delivered(path)
  await until(async () => (await isActive('nix-upload-drain.path')) === 'active', 'the path unit to be back')
  const next = await build('mended')
  await delivered(next)
})
