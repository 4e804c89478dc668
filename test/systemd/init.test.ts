// The first quarter of an hour on a machine with systemd and nix-daemon, with nothing typed but what `init` printed; and
// then what doctor says, as root and as the service.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { whileBuilding } from '../deb/build-loop.ts'
import { until } from '../integration/daemon.ts'
import { typeSection } from '../tour/readme-page.ts'
import { Machine } from './machine.ts'
import { byHandSteps, questionSteps, variablesSteps } from './readme-steps.ts'

/** Where to leave what was printed, for the documentation. */
const TRANSCRIPTS = process.env.NIX_UPLOAD_TEST_TRANSCRIPTS

let machine: Machine

beforeAll(async () => {
  machine = await Machine.make({ units: false })
  machine.write('etc/nix/nix.conf', 'sandbox = false\nsubstituters =\n')
  await machine.boot()
  await machine.do('useradd', '--create-home', '--groups', 'nix-users', 'builder')
}, 300_000)

afterAll(() => machine?.discard())

/** Types a line as root; it has to succeed. */
async function type(line: string): Promise<{ stdout: string; stderr: string }> {
  const result = await machine.shell(line)
  if (TRANSCRIPTS) {
    mkdirSync(TRANSCRIPTS, { recursive: true })
    const name = line.replaceAll(/[^a-z]+/g, '-').slice(0, 40)
    writeFileSync(join(TRANSCRIPTS, name), `$ ${line}\n${result.stderr}\n${result.stdout}\n`)
  }
  expect(result.exitCode, `${line}: ${result.stderr}${result.stdout}`).toBe(0)
  return result
}

/** The lines to copy behind a heading. */
function toCopy(stdout: string, heading: RegExp): string[] {
  const [, after = ''] = stdout.split(heading)
  const [block = ''] = after.replace(/^.*\n\n/, '').split('\n\n')
  return block.split('\n').flatMap((line) => (line.startsWith('    ') ? [line.slice(4)] : []))
}

test('init --install, a build, its upload, its substitution, and a clean bill of health', {
  timeout: 90_000,
}, async () => {
  const { stdout } = await type('nix-upload init --install --to file:///srv/cache')
  const forBuilder = toCopy(stdout, /^\d\. Add to \/etc\/nix\/nix\.conf on this machine/m)
  expect(forBuilder).toEqual(['post-build-hook = /etc/nix/nix-upload-hook'])
  machine.write('etc/nix/nix.conf', `${machine.read('etc/nix/nix.conf')}${forBuilder.join('\n')}\n`)
  const commands = toCopy(stdout, /^\d\. Then, to make nix-daemon/m)
  expect(commands).toEqual(['systemctl restart nix-daemon', 'systemctl enable --now nix-upload.service'])
  for (const line of commands) await type(line)

  const look = toCopy(stdout, /^\d\. Make a first build/m)
  expect(look).toEqual([
    expect.stringMatching(/^nix-build /),
    'nix-upload wait --timeout 1m',
    'nix-upload doctor',
  ])
  for (const line of look) await type(line)
  const derivation =
    'derivation { name = "first"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "echo hello > $out"]; }'
  const built = await machine.shell(`nix-build --no-out-link -E '${derivation}'`, 'builder')
  expect(built.exitCode, built.stderr).toBe(0)
  const path = built.stdout.trim()
  const isDone = async () => (await machine.do('nix-upload', 'list', 'done')).includes('-first.json')
  await until(isDone, 'the upload', 30_000)

  const settings = toCopy(stdout, /^\d\. Add to nix\.conf on every machine/m)
  machine.write('root/conf/nix.conf', `substituters =\n${settings.join('\n')}\n`)
  const fetch = `NIX_CONF_DIR=/root/conf nix-store --store 'local?root=/root/other' --realise ${path}`
  await type(fetch)
  expect(machine.read(join('root/other', path))).toBe('hello\n')

  const { stdout: findings } = await type('nix-upload doctor')
  expect(findings).toMatch(/^ok {7}spool: \/var\/spool\/nix-upload, which belongs to nix-upload/m)
  expect(findings).toMatch(/^ok {7}key of cache: users trust \S+-1:/m)
  expect(findings).toMatch(/^ok {7}destination cache: \/srv\/cache can be written to/m)
  expect(findings).toMatch(/^ok {7}signatures at cache: 2 paths/m)
  expect(findings).toMatch(/^ok {7}hook: \/etc\/nix\/nix-upload-hook$/m)
})

test('the key is root’s only: doctor sees what the service sees, and as a credential it is well', {
  timeout: 60_000,
}, async () => {
  await machine.do('chown', 'root', '/etc/nix-upload/cache.key')
  const broken = await machine.shell('nix-upload doctor')
  if (TRANSCRIPTS) writeFileSync(join(TRANSCRIPTS, 'doctor-broken'), `${broken.stdout}\n${broken.stderr}\n`)
  expect(broken.exitCode).toBe(1)
  expect(broken.stdout).toMatch(
    /^fail {5}key of cache: .*can't be read by user nix-upload: permission denied/m,
  )
  expect(broken.stdout).toMatch(/^ {15}chown nix-upload \/etc\/nix-upload\/cache\.key/m)
  const config = machine.read('etc/nix-upload/config.toml')
  machine.write(
    'etc/nix-upload/config.toml',
    config.replace('"/etc/nix-upload/cache.key"', '"credential:cache-key"'),
  )
  const lost = await machine.shell('nix-upload doctor')
  expect(lost.stdout).toMatch(
    /^fail {5}key of cache: "credential:cache-key" is a credential, but the service has none/m,
  )
  machine.write(
    'etc/systemd/system/nix-upload.service.d/key.conf',
    '[Service]\nLoadCredential=cache-key:/etc/nix-upload/cache.key\n',
  )
  await machine.do('systemctl', 'daemon-reload')
  await machine.do('systemctl', 'restart', 'nix-upload.service')
  const mended = await machine.shell('nix-upload doctor')
  expect(mended.exitCode, mended.stdout).toBe(0)
  await machine.do('systemctl', 'stop', 'nix-upload.service')
  const stopped = await machine.shell('nix-upload doctor')
  expect(stopped.exitCode, stopped.stdout).toBe(0)
  expect(stopped.stdout).toMatch(/^warn {5}daemon: none is running; no job waits yet$/m)
  expect(stopped.stdout).toMatch(/^ok {7}key of cache: users trust/m)
})

/** Where `npm install --global` puts it. */
const PACKAGE = '/usr/local/lib/node_modules/nix-upload'

test('while npm upgrades, no build fails and none is lost; then the daemon is to be restarted', {
  timeout: 60_000,
}, async () => {
  await machine.do('systemctl', 'start', 'nix-upload.service')
  const notThere: string[] = []
  const { count, failed, queued } = await whileBuilding(machine, 'upgrade', async () => {
    // npm moves the old one aside, unpacks the new one, and puts the links back.
    await machine.do('mv', PACKAGE, '/srv/aside')
    const built = await machine.shell(
      `nix-build --no-out-link --argstr name meanwhile /srv/loop.nix`,
      'builder',
    )
    notThere.push(built.stderr)
    await machine.do('cp', '-a', '/srv/aside', PACKAGE)
  })
  expect(failed).toEqual([])
  expect(queued).toBe(count)
  expect(notThere.join()).toMatch(
    /nix-upload: queued .*; it waits until nix-upload is installed again \(there is no /,
  )
  await type('nix-upload wait --timeout 1m')
  const { stdout } = await type('nix-upload status')
  const [, command = ''] =
    /restart it \((.*?)\): since it was started, nix-upload was installed anew/.exec(stdout) ?? []
  expect(command).toBe('systemctl restart nix-upload.service')
  expect((await type('nix-upload init --install --yes')).stdout).toContain(`    ${command}\n`)
  await type(command)
  expect((await type('nix-upload status')).stdout).not.toContain('restart it')
})

test.each([
  ['Node', '/home/builder/.nvm/node', 'PATH=/home/builder/.nvm:$PATH'],
  ['the program', '/root/nix-upload', ''],
])(
  '%s in a home directory is refused, as the service could not see it',
  { timeout: 60_000 },
  async (_, path, env) => {
    const isNode = env !== ''
    if (isNode) {
      await machine.do('mkdir', '-p', path.replace(/\/node$/, ''))
      await machine.do('cp', '/usr/local/bin/node', path)
      // A Node of the system that is too old, as Debian 13 has it.
      machine.write('usr/bin/node', '#!/bin/sh\nexit 1\n', 0o755)
      await machine.do('mount', '--bind', '/usr/bin/node', '/usr/local/bin/node')
    } else {
      await machine.do('cp', '-a', PACKAGE, path)
    }
    const program = `${isNode ? path : '/usr/local/bin/node'} ${isNode ? PACKAGE : path}/bin/nix-upload`
    const { stderr, exitCode } = await machine.shell(`${program} init --install --yes`)
    expect(stderr).toMatch(
      new RegExp(`--install: ${path}\\S* is in a home directory, .*npm install --global node@24`),
    )
    expect(exitCode).toBe(1)
    if (isNode) await machine.do('umount', '/usr/local/bin/node')
    await machine.do('rm', '-rf', '/usr/bin/node', path)
  },
)

test('uninstall takes back what init made, and no build fails before or after', {
  timeout: 60_000,
}, async () => {
  const conf = machine.read('etc/nix/nix.conf')
  const commands: string[] = []
  const { failed, queued, count } = await whileBuilding(machine, 'uninstall', async () => {
    const { stdout } = await type('nix-upload uninstall --force')
    commands.push(...toCopy(stdout, /^Make nix-daemon forget/m), ...toCopy(stdout, /^Remove the program/m))
    await machine.do('mv', PACKAGE, '/srv/uninstalled')
  })
  expect(failed).toEqual([])
  expect(queued).toBeLessThan(count)
  expect(commands).toEqual(['systemctl restart nix-daemon', 'npm uninstall --global nix-upload'])
  expect(machine.read('etc/nix/nix.conf')).not.toContain('post-build-hook')
  const units = await machine.shell('ls -d /etc/systemd/system/nix-upload* /etc/*.d/nix-upload.conf')
  // What an administrator added is left.
  expect(units.stdout).toBe('/etc/systemd/system/nix-upload.service.d')
  expect(await machine.run('systemctl', ['is-active', 'nix-upload.service'])).toMatchObject({
    stdout: 'inactive',
  })
  for (const path of ['etc/nix-upload/cache.key', 'var/spool/nix-upload/new', 'srv/cache/nix-cache-info'])
    expect(existsSync(join(machine.root, path)), path).toBe(true)
  await machine.do('mv', '/srv/uninstalled', PACKAGE)
  machine.write('etc/nix/nix.conf', conf)
})

test('docs/INSTALL.md: completion', async () => {
  await type('nix-upload completion bash >> ~/.bashrc')
  expect((await type('bash -ic "complete -p nix-upload"')).stdout).toMatch(/^complete .* nix-upload$/)
})

const run = (line: string) => machine.shell(line)

test('docs/INIT.md: By hand, as printed', { timeout: 90_000 }, async () => {
  await typeSection('By hand', byHandSteps(machine), run, 'docs/INIT.md')
})

test('README.md: Questions that are often asked, as printed', { timeout: 60_000 }, async () => {
  await typeSection('Questions that are often asked', questionSteps(machine), run)
})

test('docs/CONFIGURATION.md: Variables, as printed', { timeout: 60_000 }, async () => {
  await typeSection('Variables', variablesSteps(machine), run, 'docs/CONFIGURATION.md')
})
