// The NixOS and nix-darwin modules, evaluated. No package is built here: booted.test.ts boots what comes of it.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'smol-toml'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { type RunResult, runProgram } from '../support/run.ts'
import {
  type Darwin,
  enabled,
  evaluateDarwin,
  evaluateNixOs,
  instantiate,
  NIXPKGS,
  type NixOs,
} from './evaluation.ts'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const SYSTEMD = file('../../systemd')

/** The complaints of the program itself about the configuration file. */
async function complaints(settings: Record<string, unknown>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-module-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const toml = join(dir, 'config.toml')
  await writeFile(toml, stringify(settings))
  const env = { PATH: process.env.PATH ?? '' }
  const { stderr } = await runProgram(file('../../bin/nix-upload'), ['check-config', toml], { env })
  return stderr
}

/** What the program says that the module tells AWS of. */
async function awsKeys(content: string): Promise<RunResult> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-module-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 's3.aws'), content)
  const env = { CREDENTIALS_DIRECTORY: dir }
  return await runProgram('/bin/sh', [file('../../nix/aws-credentials.sh'), 'credential:s3.aws'], { env })
}

const S3 = `destinations.s3 = {
  to = "s3://example-nix-cache?region=eu-west-1";
  secretKeyFile = "/run/secrets/cache-key";
  environmentFile = "/run/secrets/aws";
  exclude = [ "*-source" "nixos-system-*" ];
  max-size = "2GiB";
};`

const GOOD = {
  'no destination': enabled(),
  's3, with secrets': enabled(S3),
  'https, with a netrc': enabled(
    'destinations.web = { to = "https://cache.example"; netrcFile = "/run/secrets/netrc"; verify = true; };',
  ),
  'a folder': enabled('destinations.disk.to = "file:///srv/cache?compression=xz";'),
  'folders with odd names': enabled(
    'destinations = { a.to = "file:///srv/my%20%C3%BCber%25%f0%9f%8d%8e"; b.to = "file:///srv/a\\"b"; };',
  ),
  'Nix stores in folders': enabled(
    'destinations = { a.to = "local?root=/srv/a%20b"; b.to = "local?real=/srv/b/nix/store&state=/srv/b/var"; };',
  ),
  'folders that are hidden from services': enabled(
    'destinations = { a.to = "file:///home/alice/cache"; b.to = "file:///tmp/cache"; };',
  ),
  'a spool elsewhere, and metrics': enabled(
    'settings = { spool = "/srv/spool"; metrics-file = "/var/lib/node-exporter/nix-upload.prom"; };',
  ),
  'ssh, outputs only': enabled('destinations.backup = { to = "ssh-ng://backup.example"; closure = false; };'),
  'ssh, with keys': enabled(
    'destinations = { a = { to = "ssh-ng://up@a.example:2222?compress=true"; sshKeyFile = "/run/secrets/a"; }; b = { to = "ssh://[fd00::1]"; sshKeyFile = "/run/secrets/b"; }; };',
  ),
  'two S3 with different keys': enabled(
    'destinations = { a = { to = "s3://a?region=eu-west-1"; awsCredentialsFile = "/run/secrets/a"; }; b = { to = "s3://b"; awsCredentialsFile = "/run/secrets/b%"; }; };',
  ),
  'a program, with a credential': enabled(
    'credentials.token = "/run/secrets/token"; destinations.attic = { command = [ "attic" "push" "main" ]; paths = "stdin"; };',
  ),
  'a client certificate': enabled(
    'credentials = { crt = "/run/secrets/crt"; pem = "/run/secrets/pem"; }; destinations.web = { via = "nix"; to = let dir = config.services.nix-upload.credentialsDirectory; in "https://cache.example?tls-certificate=" + dir + "/crt&tls-private-key=" + dir + "/pem"; };',
  ),
  'two with secrets': enabled(
    `${S3} destinations.disk = { to = "file:///srv/cache"; secretKeyFile = "/run/secrets/disk-key"; };`,
  ),
  'path mode': enabled(`mode = "path"; ${S3}`),
  'path mode, another spool': enabled(
    'mode = "path"; settings.spool = "/srv/spool"; settings.keep-done = "30d";',
  ),
  'no hook': enabled('hook.enable = false;'),
  'a strict hook, no GC roots': enabled('hook.strict = true; settings.gcroots = "";'),
  'destinations as they are in the file': enabled(
    'settings.destination = [ { to = "file:///srv/cache"; } ];',
  ),
  'narrowed allowed-users': enabled('', 'nix.settings.allowed-users = [ "@wheel" ];'),
  'a proxy': enabled('', 'networking.proxy.envVars = { https_proxy = "http://proxy.example:3128"; };'),
  'a Nix of another installer': enabled('hook.enable = false;', 'nix.enable = false;'),
}

const IN_STORE = /lies in the Nix store, where everybody can read it/
const to = (options: string) => enabled(`destinations.c = { ${options} };`)
/** What is refused, and with what words. */
const BAD: Record<string, [configuration: string, says: RegExp]> = {
  'secretKeyFile in the store': [to('to = "file:///c"; secretKeyFile = "/nix/store/x-key";'), IN_STORE],
  'netrcFile in the store': [to('to = "https://c.example"; netrcFile = "/nix/store/x-netrc";'), IN_STORE],
  'sshKeyFile in the store': [to('to = "ssh-ng://c"; sshKeyFile = "/nix/store/x-id";'), IN_STORE],
  'environmentFile in the store': [to('to = "s3://c"; environmentFile = "/nix/store/x-aws";'), IN_STORE],
  'awsCredentialsFile in the store': [
    to('to = "s3://c"; awsCredentialsFile = "/nix/store/x-aws";'),
    IN_STORE,
  ],
  'secret-key-file in the store': [to('to = "file:///c"; secret-key-file = "/nix/store/x-key";'), IN_STORE],
  'a key in the store, in a URL': [to('to = "ssh-ng://c?ssh-key=/nix/store/x-id";'), IN_STORE],
  'a credential in the store': [enabled('credentials.token = "/nix/store/x-token";'), IN_STORE],
  'secret-key-file in the store, in settings': [
    enabled('settings.destination = [ { to = "file:///c"; secret-key-file = "/nix/store/x-key"; } ];'),
    IN_STORE,
  ],
  'secret-key-file as a path literal': [
    enabled('settings.destination = [ { to = "file:///c"; secret-key-file = ./configurations.nix; } ];'),
    /or would be copied there/,
  ],
  'neither URL nor program': [to('verify = true;'), /destinations\.c: expected either `to` or `command`/],
  'both URL and program': [to('to = "file:///c"; command = [ "x" ];'), /expected either `to` or `command`/],
  'a name with a blank': [
    enabled('destinations."a b".to = "file:///c";'),
    /destinations\."a b": a name has letters/,
  ],
  'an ssh key for something else': [
    to('to = "https://c.example"; sshKeyFile = "/run/secrets/id";'),
    /destinations\.c\.sshKeyFile: only for a `to` that begins with ssh/,
  ],
  'AWS credentials beside a profile': [
    to('to = "s3://c?profile=mine"; awsCredentialsFile = "/run/secrets/aws";'),
    /awsCredentialsFile: only for a `to` that begins with s3:\/\/ and has no profile of its own/,
  ],
}
/** The same for what NixOS has a say in. */
const BAD_WITH_NIXOS: typeof BAD = {
  'a secret in environment.etc': [
    enabled(
      'destinations.c = { to = "file:///c"; secretKeyFile = "/etc/cache.key"; };',
      'environment.etc."cache.key".source = builtins.toFile "x-key" "secret";',
    ),
    IN_STORE,
  ],
  'another hook in nix.extraOptions': [
    enabled('', 'nix.extraOptions = "keep-outputs = true\\npost-build-hook = /etc/nix/hook.sh\\n";'),
    /nix\.extraOptions sets another post-build-hook.*hook\.enable off.*hookProgram/,
  ],
  'a Nix of another installer, with the hook': [
    enabled('', 'nix.enable = false;'),
    /with nix\.enable = false.*hook\.enable off.*nix\.custom\.conf/,
  ],
  'a nix-daemon that is not root': [
    enabled(
      '',
      'nix.daemonUser = "nix-daemon"; nix.daemonGroup = "nix-daemon"; nix.settings.experimental-features = [ "local-overlay-store" "auto-allocate-uids" ]; users.users.nix-daemon = { isSystemUser = true; group = "nix-daemon"; }; users.groups.nix-daemon = { };',
    ),
    /nix\.daemonUser = "nix-daemon" the hook, which runs as that user, can't write to the spool/,
  ],
}

/** Secrets as sops-nix and agenix have them, as far as the examples ask. */
const SECRETS = `
  options = lib.genAttrs [ "sops" "age" ] (_: lib.mkOption { type = lib.types.anything; });
  config.sops.secrets = lib.genAttrs [ "cache-key" "aws" "aws-ours" "aws-theirs" "upload-ssh-key" "attic-token" "client-key" ] (name: { path = "/run/secrets/\${name}"; });
  config.age.secrets.netrc = { file = pkgs.writeText "netrc.age" ""; path = "/run/agenix/netrc"; };
`
/** The examples in docs/NIXOS.md, each as a module. */
const EXAMPLES = Object.fromEntries(
  [...readFileSync(file('../../docs/NIXOS.md'), 'utf8').matchAll(/^```nix\n(?!# flake)([^`]*)^```$/gm)].map(
    ([, text = ''], at) => [
      `example ${at + 1} of docs/NIXOS.md`,
      `{ pkgs, lib, config, ... }: { imports = [ ({ lib, pkgs, ... }: { ${SECRETS} }) { services.nix-upload.enable = true; } ]; ${text} }`,
    ],
  ),
)
/** What only the real one can tell. */
const WITH_NIXPKGS = {
  ...EXAMPLES,
  'a forced hook': enabled('', 'nix.settings.post-build-hook = lib.mkForce "/etc/nix/hook.sh";'),
  Lix: enabled('', 'nix.package = pkgs.lix;'),
}

const DARWIN = {
  'a folder and a key': enabled(
    'destinations.disk = { to = "file:///srv/my%20cache"; secretKeyFile = "/etc/nix/key.private"; };',
  ),
  'ssh and S3 with keys': enabled(
    'destinations = { a = { to = "ssh-ng://a.example"; sshKeyFile = "/var/root/id"; }; b = { to = "s3://b?region=eu-west-1"; awsCredentialsFile = "/var/root/aws"; }; };',
  ),
  'a Nix of another installer': enabled('hook.enable = false;', 'nix.enable = false;'),
  'a Nix of another installer, with the hook': enabled('', 'nix.enable = false;'),
  'an environment file': enabled('destinations.c = { to = "s3://c"; environmentFile = "/var/root/aws"; };'),
}

let machines: Record<string, NixOs>
let macs: Record<string, Darwin>

beforeAll(async () => {
  const configurations = (bad: typeof BAD) =>
    Object.fromEntries(Object.entries(bad).map(([name, [configuration]]) => [name, configuration]))
  const real = { ...GOOD, ...configurations(BAD_WITH_NIXOS), ...(NIXPKGS === '' ? {} : WITH_NIXPKGS) }
  machines = {
    ...(await evaluateNixOs(real)),
    ...(await evaluateNixOs(configurations(BAD), { isQuick: true })),
  }
  macs = await evaluateDarwin(DARWIN)
}, 300_000)

function machine(name: keyof typeof GOOD): NixOs {
  const found = machines[name]
  if (!found) throw new Error(`${name} was not evaluated`)
  return found
}

function mac(name: keyof typeof DARWIN): Darwin {
  const found = macs[name]
  if (!found) throw new Error(`${name} was not evaluated`)
  return found
}

/** What the one service of a machine may write to. */
function writable(name: keyof typeof GOOD): unknown {
  return Object.values(machine(name).services)[0]?.serviceConfig.ReadWritePaths
}

test.each(Object.keys(GOOD))('%s: evaluates, and its configuration file is valid', async (name) => {
  const found = machines[name]
  expect(found?.failed).toEqual([])
  expect(await complaints(found?.settings ?? {})).toBe('')
  expect(found?.check).toMatch(/nix-upload check-config \$out/)
  expect(found).toMatchObject({
    etc: ['nix-upload/config.toml'],
    user: 'nix-upload',
    packages: ['nix-upload'],
  })
  // One source: each is a drop-in to a unit in systemd/, and says nothing that only that may say.
  for (const [unit, { serviceConfig, restartTriggers, path }] of Object.entries(found?.services ?? {})) {
    expect(existsSync(join(SYSTEMD, `${unit}.service`))).toBe(true)
    const added = ['BindPaths', 'EnvironmentFile', 'LoadCredential', 'ProtectHome', 'ReadWritePaths']
    expect(added).toEqual(expect.arrayContaining(Object.keys(serviceConfig)))
    expect(restartTriggers).toEqual([expect.stringContaining('nix-upload.toml')])
    expect(path.slice(0, 2)).toEqual(['nix', 'openssh'])
  }
  for (const unit of Object.keys(found?.paths ?? {}))
    expect(existsSync(join(SYSTEMD, `${unit}.path`))).toBe(true)
  for (const unit of Object.keys(found?.timers ?? {}))
    expect(existsSync(join(SYSTEMD, `${unit}.timer`))).toBe(true)
})

test.each(Object.entries({ ...BAD, ...BAD_WITH_NIXOS }))('%s: is refused', (name, [, says]) => {
  expect(machines[name]?.failed).toEqual([expect.stringMatching(says)])
})

test('daemon mode starts the daemon and nothing else', () => {
  const { services, paths, timers, hook } = machine('no destination')
  expect(Object.keys(services)).toEqual(['nix-upload'])
  expect(services['nix-upload']?.wantedBy).toEqual(['multi-user.target'])
  expect({ paths, timers }).toEqual({ paths: {}, timers: {} })
  expect(hook).toMatch(/-nix-upload[^/]*\/bin\/nix-upload-hook$/)
})

test('path mode starts the path unit and the timer, and watches the spool that is set', () => {
  const { services, paths, timers, tmpfiles, hook } = machine('path mode, another spool')
  expect(Object.keys(services)).toEqual(['nix-upload-drain'])
  expect(services['nix-upload-drain']?.wantedBy).toEqual([])
  expect(writable('path mode, another spool')).toEqual([
    '',
    '/srv/spool',
    '-/nix/var/nix/gcroots/nix-upload',
    '-/srv/spool-cache',
  ])
  expect(paths['nix-upload-drain']).toMatchObject({
    pathConfig: { DirectoryNotEmpty: ['', '/srv/spool/new'] },
    unitConfig: { RequiresMountsFor: ['/srv/spool'] },
    wantedBy: ['multi-user.target'],
  })
  expect(timers['nix-upload-drain']?.wantedBy).toEqual(['timers.target'])
  expect(tmpfiles).toContain('d /srv/spool/new :0755 nix-upload nix-upload -')
  // The hook reads no file, so it is told.
  expect(hook).toMatch(/-nix-upload-hook$/)
})

test.each<[keyof typeof GOOD, string[]]>([
  ['no destination', ['/var/spool/nix-upload-cache']],
  ['s3, with secrets', []],
  ['a folder', ['/srv/cache']],
  ['destinations as they are in the file', ['/srv/cache']],
  ['folders with odd names', ['/srv/my über%🍎', '/srv/a"b']],
  ['Nix stores in folders', ['/srv/a b', '/srv/b/nix/store', '/srv/b/var']],
  ['a spool elsewhere, and metrics', ['/srv/spool-cache', '/var/lib/node-exporter']],
])('%s: what is written to is made, mounted and writable', (name, directories) => {
  const { services, tmpfiles, settings } = machine(name)
  expect(machine(name).directories).toEqual(directories)
  const [service] = Object.values(services)
  const word = (path: string) =>
    /[ "%]/.test(path) ? `"${path.replaceAll('%', '%%').replaceAll('"', '\\"')}"` : path
  expect(writable(name)).toEqual([
    '',
    settings.spool,
    '-/nix/var/nix/gcroots/nix-upload',
    ...directories.map((path) => word(`-${path}`)),
  ])
  expect(service?.unitConfig.RequiresMountsFor).toEqual([settings.spool, ...directories.map(word)])
  // The colons: a directory that is there keeps its owner and mode.
  for (const path of directories)
    expect(tmpfiles).toContain(`d ${word(path)} :0755 :nix-upload :nix-upload -`)
})

test('what ProtectHome= and PrivateTmp= hide is brought back', () => {
  const { services } = machine('folders that are hidden from services')
  expect(services['nix-upload']?.serviceConfig).toMatchObject({
    ProtectHome: 'tmpfs',
    BindPaths: ['-/home/alice/cache', '-/tmp/cache'],
  })
})

test('secrets are credentials: the file names them, the unit loads them, the store has none', () => {
  const { services, settings } = machine('two with secrets')
  expect(services['nix-upload']?.serviceConfig).toMatchObject({
    LoadCredential: ['disk.key:/run/secrets/disk-key', 's3.key:/run/secrets/cache-key'],
    EnvironmentFile: ['/run/secrets/aws'],
    ReadWritePaths: expect.arrayContaining(['-/srv/cache']),
  })
  expect(JSON.stringify(settings)).not.toContain('/run/secrets')
  expect(settings).toMatchObject({
    destination: [
      { name: 'disk', 'secret-key-file': 'credential:disk.key' },
      { name: 's3', 'secret-key-file': 'credential:s3.key', 'max-size': '2GiB' },
    ],
  })
})

test('each S3 destination has a profile, which gets its keys out of its credential', () => {
  const { services, settings, aws } = machine('two S3 with different keys')
  expect(services['nix-upload']?.serviceConfig.LoadCredential).toEqual([
    'a.aws:/run/secrets/a',
    'b.aws:/run/secrets/b%%',
  ])
  expect(settings.destination).toMatchObject([
    { to: 's3://a?region=eu-west-1&profile=nix-upload-a' },
    { to: 's3://b?profile=nix-upload-b' },
  ])
  expect(services['nix-upload']?.environment.AWS_CONFIG_FILE).toMatch(/nix-upload-aws-config$/)
  expect(aws).toMatch(
    /^\[profile nix-upload-a\]\ncredential_process = \S+ \S+-aws-credentials\.sh '?credential:a\.aws'?\n\n\[profile nix-upload-b\]\n/,
  )
})

test('ssh finds the key of each destination, and nobody else is given it', () => {
  const { services, settings, ssh } = machine('ssh, with keys')
  expect(services['nix-upload']?.serviceConfig.LoadCredential).toEqual([
    'a.ssh:/run/secrets/a',
    'b.ssh:/run/secrets/b',
  ])
  expect(settings.destination).toMatchObject([
    { to: 'ssh-ng://up@a.example:2222?compress=true' },
    { to: 'ssh://[fd00::1]' },
  ])
  const lines = ssh.split('\n')
  expect(lines).toContain('Match localuser nix-upload originalhost a.example user up')
  expect(lines).toContain('Match localuser nix-upload originalhost fd00::1')
  expect(lines).toContain(`  IdentityFile "$\{CREDENTIALS_DIRECTORY}/b.ssh"`)
  // What comes behind it in ssh_config is for all again.
  expect(ssh.trim()).toMatch(/\nMatch all$/)
})

test('more credentials, by name or by path', () => {
  expect(
    machine('a program, with a credential').services['nix-upload']?.serviceConfig.LoadCredential,
  ).toEqual(['token:/run/secrets/token'])
  expect(machine('a client certificate').settings.destination).toMatchObject([
    { to: expect.stringContaining('=/run/credentials/nix-upload.service/pem') },
  ])
})

test('where only some may talk to nix-daemon, the service may', () => {
  expect(machine('narrowed allowed-users').nixConf).toContain('extra-allowed-users = nix-upload')
  expect(machine('no destination').nixConf).not.toContain('allowed-users')
})

test('a proxy reaches the service', () => {
  const { environment } = machine('a proxy').services['nix-upload'] ?? {}
  expect(environment).toMatchObject({ https_proxy: 'http://proxy.example:3128' })
})

test('a path literal, which would be copied into the store, is no type of a secret', async () => {
  const configuration = to('to = "file:///c"; secretKeyFile = /etc/key;')
  const result = await instantiate({ configuration }, 'nixos')
  expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/is not of type/) })
})

test('no hook: nix.conf is left alone', () => {
  expect(machine('no hook').hook).toBeNull()
  expect(machine('no hook').hookProgram).toMatch(/\/bin\/nix-upload-hook$/)
})

test('nix-darwin: launchd watches the queue, and secrets are read where they are', async () => {
  const { launchd, settings, failed } = mac('a folder and a key')
  expect(failed).toEqual([])
  expect(launchd.serviceConfig).toMatchObject({
    QueueDirectories: ['/var/spool/nix-upload/new'],
  })
  expect(launchd.script).toMatch(/^mkdir -p .*'\/srv\/my cache'$/m)
  expect(launchd.script).toMatch(/nix-upload drain --linger 1h$/m)
  expect(settings).toMatchObject({ destination: [{ 'secret-key-file': '/etc/nix/key.private' }] })
  expect(await complaints(settings)).toBe('')
})

test('nix-darwin: keys for ssh and S3', async () => {
  const { launchd, settings, failed, aws } = mac('ssh and S3 with keys')
  expect(failed).toEqual([])
  expect(settings).toMatchObject({
    destination: [
      { to: 'ssh-ng://a.example?ssh-key=/var/root/id' },
      { to: 's3://b?region=eu-west-1&profile=nix-upload-b' },
    ],
  })
  expect(launchd.serviceConfig.EnvironmentVariables).toMatchObject({
    AWS_CONFIG_FILE: expect.stringMatching(/nix-upload-aws-config$/),
  })
  expect(aws).toMatch(/aws-credentials\.sh '?\/var\/root\/aws'?\n/)
  expect(await complaints(settings)).toBe('')
})

test('nix-darwin that does not manage Nix: evaluates, and says where the hook goes', () => {
  expect(mac('a Nix of another installer').failed).toEqual([])
  expect(mac('a Nix of another installer, with the hook').failed).toEqual([
    expect.stringContaining('/etc/nix/nix.custom.conf'),
  ])
})

test('nix-darwin: launchd has no environment files', () => {
  expect(mac('an environment file').failed).toEqual([expect.stringContaining('use awsCredentialsFile')])
})

test.each([
  [
    'of AWS’s, whose first section counts',
    '[default]\naws_access_key_id = AKIA\naws_secret_access_key = "s/=="\n[other]\naws_access_key_id = no\n',
    { AccessKeyId: 'AKIA', SecretAccessKey: 's/==' },
  ],
  [
    'of variables, without an end of line',
    '# a comment\nexport AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY=s=\nAWS_SESSION_TOKEN=t==',
    { AccessKeyId: 'AKIA', SecretAccessKey: 's=', SessionToken: 't==' },
  ],
])('AWS gets the keys out of a file %s', async (_name, content, keys) => {
  const result = await awsKeys(content)
  expect(JSON.parse(result.stdout)).toEqual({ Version: 1, ...keys })
})

test('a file without keys is told from one with wrong keys', async () => {
  expect(await awsKeys('aws_access_key_id = AKIA\n')).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('has no aws_access_key_id and aws_secret_access_key'),
  })
})

test('every unit is started in a way that the package can give its own path to', () => {
  for (const name of readdirSync(SYSTEMD).filter((name) => name.endsWith('.service'))) {
    const starts = readFileSync(join(SYSTEMD, name), 'utf8').match(/^ExecStart=.*$/gm)
    expect(starts).toEqual([expect.stringMatching(/^ExecStart=nix-upload /)])
  }
})

if (NIXPKGS !== '') {
  test('a hook that is forced on top of ours is noticed, and two of them are a conflict', async () => {
    expect(machines['a forced hook']?.failed).toEqual([
      expect.stringMatching(/post-build-hook is \/etc\/nix\/hook\.sh, and Nix has only one/),
    ])
    const twice = enabled('', 'nix.settings.post-build-hook = "/etc/nix/hook.sh";')
    const { stderr } = await instantiate({ twice }, 'nixos')
    expect(stderr).toMatch(/nix\.settings\.post-build-hook' .*conflicting definition/s)
  })

  test.each(Object.keys(EXAMPLES))('%s evaluates, and its configuration file is valid', async (name) => {
    expect(machines[name]?.failed).toEqual([])
    expect(await complaints(machines[name]?.settings ?? {})).toBe('')
  })

  test('Lix is the Nix that the service uses, where it is the machine’s', () => {
    expect(machines.Lix?.failed).toEqual([])
    expect(machines.Lix?.services['nix-upload']?.path[0]).toBe('lix')
  })

  test('a NixOS for another platform: the file is checked by a program for this one', async () => {
    const { cross } = await evaluateNixOs({ cross: enabled() }, { crossSystem: 'aarch64-linux' })
    const native = machine('no destination').package
    expect(cross?.package).not.toBe(native)
    expect(cross?.check).toContain(`${native}/bin/nix-upload check-config`)
  })

  test('what NixOS makes of it is a drop-in to our units', () => {
    const text = machine('two S3 with different keys').units['nix-upload.service']?.text
    expect(text).toContain('\nLoadCredential=b.aws:/run/secrets/b%%\n')
    expect(text).not.toMatch(/^(ExecStart|User|Type)=/m)
  })
}
