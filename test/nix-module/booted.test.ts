// What the module comes to, booted: the default configuration, S3 with secrets, ssh to a second machine, and path mode
// with everything elsewhere. One machine takes them in turn, as `nixos-rebuild switch` would have it.

import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { CreateBucketCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { until } from '../integration/daemon.ts'
import { type Radosgw, startRadosgw } from '../support/servers/radosgw.ts'
import { Machine } from '../systemd/machine.ts'
import { enabled, evaluateNixOs, type NixOs } from './evaluation.ts'
import { sshKey, switchTo } from './nixos-machine.ts'

const S3_PORT = 7480
const url = (bucket: string) => `s3://${bucket}?region=us-east-1&scheme=http&endpoint=127.0.0.1:${S3_PORT}`

const CONFIGURATIONS = {
  default: enabled(),
  s3: enabled(`destinations = {
    alice = { to = "${url('alice')}"; secretKeyFile = "/etc/nix/key.private"; environmentFile = "/run/keys/alice"; };
    bob = { to = "${url('bob')}"; secretKeyFile = "/etc/nix/key.private"; awsCredentialsFile = "/run/keys/bob"; };
  };`),
  ssh: enabled(
    'destinations.backup = { to = "ssh-ng://uploader@backup.example"; secretKeyFile = "/etc/nix/key.private"; sshKeyFile = "/run/keys/id"; };',
  ),
  path: enabled(`mode = "path";
    settings = { spool = "/srv/my spool"; metrics-file = "/srv/metrics/nix-upload.prom"; };
    destinations = {
      web.to = "file:///srv/web";
      odd.to = "file:///srv/an%20odd%20%C3%BC";
      home.to = "file:///home/builder/cache";
      store.to = "local?root=/srv/store";
    };`),
}

let machine: Machine
let backup: Machine
let s3: Radosgw
let nixos: Record<string, NixOs>
const servers: Server[] = []
let count = 0

/** Builds something as an ordinary user; returns its path. */
async function build(on = machine): Promise<string> {
  const name = `built-${++count}`
  const derivation = `derivation { name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = ["-c" "echo ${name} > $out"]; }`
  const result = await on.shell(`nix-build --no-out-link -E '${derivation}'`, 'builder')
  expect(result, result.stderr).toMatchObject({
    exitCode: 0,
    stderr: expect.stringContaining('nix-upload: queued '),
  })
  return result.stdout.trim()
}

/** Waits until a path's job is done. */
async function delivered(path: string, spool = '/var/spool/nix-upload'): Promise<void> {
  const jobs = (state: string) =>
    readdirSync(join(machine.root, spool, state)).filter((name) => name.endsWith(`${path.slice(44)}.json`))
  const isDone = () => jobs('done').length === 1
  const logs = async () => (await machine.do('journalctl', '--boot', '-o', 'cat', '-n', '20')).slice(-4000)
  try {
    await until(isDone, () => 'the job', 40_000)
  } catch {
    throw new Error(
      `${path} is in ${['new', 'cur', 'failed'].filter((state) => jobs(state).length > 0)}:\n${await logs()}`,
    )
  }
}

async function become(name: keyof typeof CONFIGURATIONS): Promise<void> {
  const configuration = nixos[name]
  if (!configuration) throw new Error(`${name} was not evaluated`)
  expect(configuration.failed).toEqual([])
  await switchTo(machine, configuration, true)
}

/** Lets the machine reach a server outside of it, at a port of its own: it has no network but a shared file system. */
async function forward(name: string, port: number, open: () => ReturnType<typeof connect>): Promise<void> {
  const server = createServer((socket) => {
    const target = open()
    for (const each of [socket, target])
      each.on('error', () => {
        socket.destroy()
        target.destroy()
      })
    socket.pipe(target).pipe(socket)
  })
  server.listen(join(machine.root, `run-${name}.sock`))
  await once(server, 'listening')
  servers.push(server)
  machine.write(`etc/systemd/system/${name}.socket`, `[Socket]\nListenStream=127.0.0.1:${port}\n`)
  const proxy = `/usr/lib/systemd/systemd-socket-proxyd /run-${name}.sock`
  machine.write(`etc/systemd/system/${name}.service`, `[Service]\nExecStart=${proxy}\n`)
}

function s3Client({ accessKeyId, secretAccessKey }: Radosgw['alice']): S3Client {
  return new S3Client({
    endpoint: s3.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
}

beforeAll(async () => {
  const evaluated = evaluateNixOs(CONFIGURATIONS)
  const started = startRadosgw()
  machine = await Machine.make({ units: false })
  backup = await Machine.make({ units: false })
  nixos = await evaluated
  if (nixos.default) await switchTo(machine, nixos.default, false)
  machine.write('etc/hosts', '127.0.0.1 localhost backup.example\n')
  for (const each of [machine, backup])
    each.write('etc/systemd/system/nix-daemon.socket.d/nixos.conf', '[Socket]\nSocketMode=0666\n')

  // The second machine: sshd on a socket, which the first one reaches as port 22.
  const key = sshKey()
  backup.write(
    'etc/systemd/system/test-ssh.socket',
    '[Socket]\nListenStream=/run-ssh.sock\nAccept=yes\n[Install]\nWantedBy=sockets.target\n',
  )
  const sshd = '/usr/sbin/sshd -i -o AuthorizedKeysFile=/etc/ssh/uploader -o UsePAM=no'
  backup.write(
    'etc/systemd/system/test-ssh@.service',
    `[Service]\nExecStart=${sshd}\nStandardInput=socket\nRuntimeDirectory=sshd\nRuntimeDirectoryPreserve=yes\n`,
  )
  backup.write('etc/ssh/uploader', `${key.public}\n`)
  const host = backup.read('etc/ssh/ssh_host_ed25519_key.pub').split(' ').slice(0, 2).join(' ')
  machine.write('etc/ssh/ssh_known_hosts', `backup.example ${host}\n`)

  await Promise.all([machine.boot(), backup.boot()])
  for (const each of [machine, backup]) {
    await each.do('chmod', '755', '/nix/var/nix/daemon-socket')
    await each.do('useradd', '--create-home', 'builder')
  }
  await backup.do('useradd', '--create-home', '--shell', '/bin/sh', '--password', '*', 'uploader')
  await backup.do('systemctl', 'start', 'test-ssh.socket')
  await machine.do(
    'nix-store',
    '--generate-binary-cache-key',
    'test-1',
    '/etc/nix/key.private',
    '/etc/nix/key.public',
  )
  const publicKey = machine.read('etc/nix/key.public')
  backup.write('etc/nix/nix.conf', `substituters =\nextra-trusted-public-keys = ${publicKey}\n`)
  await backup.do('systemctl', 'restart', 'nix-daemon.service')
  s3 = await started
  await forward('s3', S3_PORT, () => connect(s3.port, '127.0.0.1'))
  await forward('backup', 22, () => connect(join(backup.root, 'run-ssh.sock')))
  // As sops-nix and agenix bring them: for root alone.
  await machine.do('mkdir', '-p', '/run/keys')
  const keys = {
    alice: `AWS_ACCESS_KEY_ID=${s3.alice.accessKeyId}\nAWS_SECRET_ACCESS_KEY=${s3.alice.secretAccessKey}\n`,
    bob: `[default]\naws_access_key_id = ${s3.bob.accessKeyId}\naws_secret_access_key = ${s3.bob.secretAccessKey}\n`,
    id: key.secret,
  }
  for (const [name, content] of Object.entries(keys)) {
    machine.write(`root/${name}`, content, 0o400)
    await machine.do('mv', `/root/${name}`, '/run/keys/')
  }
  await machine.do('systemctl', 'daemon-reload')
  await machine.do('systemctl', 'start', 's3.socket', 'backup.socket')
  await Promise.all(
    (['alice', 'bob'] as const).map((name) =>
      s3Client(s3[name]).send(new CreateBucketCommand({ Bucket: name })),
    ),
  )
}, 240_000)

afterAll(async () => {
  for (const server of servers) server.close()
  await Promise.all([machine?.discard(), backup?.discard(), s3?.stop()])
})

test('the default configuration: a user builds, it is uploaded, and fetched from there', {
  timeout: 90_000,
}, async () => {
  await until(
    async () => (await machine.property('nix-upload.service', 'ActiveState')) === 'active',
    'the daemon',
  )
  const path = await build()
  await delivered(path)
  const features = ['--extra-experimental-features', 'nix-command']
  const from = ['--from', 'file:///var/spool/nix-upload-cache', '--to', '/root/other', '--no-check-sigs']
  await machine.do('nix', ...features, 'copy', ...from, path)
  expect(machine.read(join('root/other', path))).toBe(`built-${count}\n`)
  expect(readdirSync(join(machine.root, 'nix/var/nix/gcroots/nix-upload'))).toEqual([])
})

test('init has nothing to do there, and doctor says what to do in the words of NixOS', {
  timeout: 90_000,
}, async () => {
  const program = `${nixos.default?.package}/bin/nix-upload`
  const init = await machine.run(program, ['init', '--install'])
  expect(init).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^\nservices\.nix-upload is on .* so there is nothing to do/),
  })
  expect(init.stderr).toBe('')
  const well = await machine.run(program, ['doctor'])
  expect(well.exitCode, well.stdout).toBe(0)
  expect(well.stdout).not.toContain('timedatectl set-ntp')

  await machine.do('systemctl', 'stop', 'nix-upload.service')
  await machine.do('chown', 'root:root', '/var/spool/nix-upload-cache')
  const { stdout } = await machine.run(program, ['doctor'])
  expect(stdout).toMatch(/^warn +daemon: .*\n +→ Set services\.nix-upload\.enable/m)
  expect(stdout).toMatch(/^fail +destination default: .*\n +→ .*users\.users\.nix-upload\.extraGroups/m)
  expect(stdout).toMatch(/^warn +key of default: .*\n +→ .*destinations\.default\.secretKeyFile/m)
  expect(stdout).not.toMatch(/systemctl (edit|enable)|\/etc\/nix\/nix\.conf/)
})

test('S3: two buckets, each with keys of its own that only root can read', { timeout: 90_000 }, async () => {
  await become('s3')
  const path = await build()
  await delivered(path)
  for (const name of ['alice', 'bob'] as const) {
    const Key = `${path.slice(11, 43)}.narinfo`
    const { Body } = await s3Client(s3[name]).send(new GetObjectCommand({ Bucket: name, Key }))
    expect(await Body?.transformToString()).toMatch(/^Sig: test-1:/m)
  }
  const stolen = await machine.run('setpriv', [
    '--reuid=nix-upload',
    '--clear-groups',
    'cat',
    '/run/keys/bob',
  ])
  expect(stolen).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Permission denied') })
})

test('ssh-ng: a second machine has it, with a key that only root can read', { timeout: 90_000 }, async () => {
  await become('ssh')
  const path = await build()
  await delivered(path)
  expect(backup.read(path)).toBe(`built-${count}\n`)
  await backup.do('nix-store', '--check-validity', path)
})

test('path mode, with spool, caches, metrics and a store elsewhere; what is there keeps its owner', {
  timeout: 90_000,
}, async () => {
  await machine.do('useradd', '--system', 'web')
  await machine.do('install', '-d', '-o', 'web', '-g', 'nix-upload', '-m', '2775', '/srv/web')
  await become('path')
  expect(await machine.do('stat', '--format=%U:%G %a', '/srv/web')).toBe('web:nix-upload 2775')
  const path = await build()
  await delivered(path, '/srv/my spool')
  const narinfo = `${path.slice(11, 43)}.narinfo`
  for (const cache of ['srv/web', 'srv/an odd ü', 'home/builder/cache'])
    expect(readdirSync(join(machine.root, cache))).toContain(narinfo)
  expect(machine.read(join('srv/store', path))).toBe(`built-${count}\n`)
  expect(machine.read('srv/metrics/nix-upload.prom')).toContain('nix_upload_')
  expect(await machine.property('nix-upload-drain.path', 'ActiveState')).toBe('active')
})
