// The NixOS and nix-darwin modules, evaluated: with the `lib` of a nixpkgs where NIX_UPLOAD_TEST_NIXPKGS_LIB names one,
// otherwise with what stands in for it. No package is built here, and no NixOS is there: see docs/NIXOS.md.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'smol-toml'
import { expect, onTestFinished, test } from 'vitest'
import * as z from 'zod/mini'
import { nixVersions } from '../support/nix-versions.mjs'
import { must, type RunResult, runProgram } from '../support/run.ts'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const LIBRARY = process.env.NIX_UPLOAD_TEST_NIXPKGS_LIB || file('stand-in-lib')
const SYSTEMD = file('../../systemd')

const section = z.record(z.string(), z.unknown())
const evaluated = z.object({
  failed: z.array(z.string()),
  settings: section,
  check: z.string(),
  etc: z.array(z.string()),
  hook: z.nullable(z.string()),
  users: z.array(z.string()),
  packages: z.array(z.string()),
  tmpfiles: z.array(z.string()),
  services: z.record(
    z.string(),
    z.object({
      serviceConfig: section,
      unitConfig: section,
      wantedBy: z.array(z.string()),
      restartTriggers: z.array(z.string()),
      path: z.array(z.string()),
    }),
  ),
  paths: z.record(z.string(), section),
  timers: z.record(z.string(), section),
  launchd: z.record(z.string(), z.object({ script: z.string(), serviceConfig: section })),
})

async function directory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'nix-upload-module-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  return dir
}

async function instantiate(configuration: string, module: string): Promise<RunResult> {
  const dir = await directory()
  const newest = (await nixVersions()).at(-1)
  if (!newest) throw new Error('there is no Nix to test with')
  const at = (name: string) => join(dir, name)
  const env = {
    HOME: dir,
    NIX_STATE_DIR: at('state'),
    NIX_LOG_DIR: at('log'),
    NIX_CONF_DIR: at('conf'),
    NIX_CONFIG: 'build-users-group =',
  }
  const args = ['--eval', '--strict', '--json', '--readonly-mode', file('evaluate.nix')]
  const expressions = [
    ['library', LIBRARY],
    ['module', file(`../../nix/${module}`)],
    ['configuration', `{ services.nix-upload = { enable = true; } // { ${configuration} }; }`],
  ]
  const given = expressions.flatMap(([name = '', value = '']) => ['--arg', name, value])
  return runProgram(join(newest.bin, 'nix-instantiate'), [...args, ...given], { env })
}

/** What a configuration of services.nix-upload comes to. */
async function evaluate(configuration: string, module = 'module.nix') {
  const { stdout } = must(await instantiate(configuration, module), `evaluate ${configuration}`)
  return z.parse(evaluated, JSON.parse(stdout))
}

/** The complaints of the program itself about the configuration file. */
async function complaints(settings: Record<string, unknown>): Promise<string> {
  const toml = join(await directory(), 'config.toml')
  await writeFile(toml, stringify(settings))
  const env = { PATH: process.env.PATH ?? '' }
  const { stderr } = await runProgram(file('../../bin/nix-upload'), ['check-config', toml], { env })
  return stderr
}

const S3 = `destinations.s3 = {
  to = "s3://example-nix-cache?region=eu-west-1";
  secretKeyFile = "/run/secrets/cache-key";
  environmentFile = "/run/secrets/aws";
  exclude = [ "*-source" "nixos-system-*" ];
  max-size = "2GiB";
};`

const CONFIGURATIONS = {
  'no destination': '',
  's3, with secrets': S3,
  'https, with a netrc':
    'destinations.web = { to = "https://cache.example"; netrcFile = "/run/secrets/netrc"; verify = true; };',
  'a folder': 'destinations.disk.to = "file:///srv/cache?compression=xz";',
  'ssh, outputs only': 'destinations.backup = { to = "ssh-ng://backup.example"; closure = false; };',
  'a program': 'destinations.attic = { command = [ "attic" "push" "main" ]; paths = "stdin"; };',
  'two with secrets': `${S3} destinations.disk = { to = "file:///srv/cache"; secretKeyFile = "/run/secrets/disk-key"; };`,
  'path mode': `mode = "path"; ${S3}`,
  'path mode, another spool': 'mode = "path"; settings.spool = "/srv/spool"; settings.keep-done = "30d";',
  'no hook': 'hook.enable = false;',
  'a strict hook, no GC roots': 'hook.strict = true; settings.gcroots = "";',
  'destinations as they are in the file': 'settings.destination = [ { to = "file:///srv/cache"; } ];',
}

test.each(Object.entries(CONFIGURATIONS))(
  '%s: evaluates, and its configuration file is valid',
  async (_name, configuration) => {
    const machine = await evaluate(configuration)
    expect(machine.failed).toEqual([])
    expect(await complaints(machine.settings)).toBe('')
    expect(machine.check).toMatch(/nix-upload check-config \$out/)
    expect(machine).toMatchObject({
      etc: ['nix-upload/config.toml'],
      users: ['nix-upload'],
      packages: ['nix-upload'],
    })
    // One source: each is a drop-in to a unit in systemd/, and says nothing that only that may say.
    for (const [name, { serviceConfig, restartTriggers, path }] of Object.entries(machine.services)) {
      expect(existsSync(join(SYSTEMD, `${name}.service`))).toBe(true)
      const added = ['EnvironmentFile', 'LoadCredential', 'ReadWritePaths']
      expect(added).toEqual(expect.arrayContaining(Object.keys(serviceConfig)))
      expect(restartTriggers).toEqual([expect.stringContaining('nix-upload.toml')])
      expect(path).toEqual(['nix'])
    }
    for (const name of Object.keys(machine.paths))
      expect(existsSync(join(SYSTEMD, `${name}.path`))).toBe(true)
    for (const name of Object.keys(machine.timers))
      expect(existsSync(join(SYSTEMD, `${name}.timer`))).toBe(true)
  },
)

test('daemon mode starts the daemon and nothing else', async () => {
  const { services, paths, timers, hook } = await evaluate('')
  expect(Object.keys(services)).toEqual(['nix-upload'])
  expect(services['nix-upload']?.wantedBy).toEqual(['multi-user.target'])
  expect({ paths, timers }).toEqual({ paths: {}, timers: {} })
  expect(hook).toMatch(/-nix-upload\/bin\/nix-upload-hook$/)
})

test('path mode starts the path unit and the timer, and watches the spool that is set', async () => {
  const { services, paths, timers, tmpfiles, hook } = await evaluate(
    CONFIGURATIONS['path mode, another spool'],
  )
  expect(Object.keys(services)).toEqual(['nix-upload-drain'])
  expect(services['nix-upload-drain']?.wantedBy).toEqual([])
  expect(services['nix-upload-drain']?.serviceConfig.ReadWritePaths).toEqual([
    '',
    '/srv/spool',
    '-/nix/var/nix/gcroots/nix-upload',
  ])
  expect(paths['nix-upload-drain']).toMatchObject({
    pathConfig: { DirectoryNotEmpty: ['', '/srv/spool/new'] },
  })
  expect(paths['nix-upload-drain']?.wantedBy).toEqual(['multi-user.target'])
  expect(timers['nix-upload-drain']?.wantedBy).toEqual(['timers.target'])
  expect(tmpfiles).toContain('d /srv/spool/new 0755 nix-upload nix-upload -')
  // The hook reads no file, so it is told.
  expect(hook).toMatch(/-nix-upload-hook$/)
})

test('secrets are credentials: the file names them, the unit loads them, the store has none', async () => {
  const { services, settings } = await evaluate(CONFIGURATIONS['two with secrets'])
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

test.each([
  ['secretKeyFile', 'to = "file:///c"; secretKeyFile = "/nix/store/x-key";'],
  ['netrcFile', 'to = "https://c.example"; netrcFile = "/nix/store/x-netrc";'],
  ['environmentFile', 'to = "s3://c"; environmentFile = "/nix/store/x-aws";'],
  ['secret-key-file', 'to = "file:///c"; secret-key-file = "/nix/store/x-key";'],
])('%s in the store is refused', async (_key, destination) => {
  const { failed } = await evaluate(`destinations.c = { ${destination} };`)
  expect(failed).toEqual([
    expect.stringMatching(
      /destinations\.c: \/nix\/store\/x-\w+ lies in the Nix store, where everybody can read it/,
    ),
  ])
})

test('a path literal, which would be copied into the store, is no type of a secret', async () => {
  const result = await instantiate(
    'destinations.c = { to = "file:///c"; secretKeyFile = /etc/key; };',
    'module.nix',
  )
  expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/is not of type/) })
})

test('a destination with neither URL nor program is refused', async () => {
  const { failed } = await evaluate('destinations.c = { verify = true; };')
  expect(failed).toEqual(['services.nix-upload.destinations.c: expected either `to` or `command`.'])
})

test('no hook: nix.conf is left alone', async () => {
  expect((await evaluate(CONFIGURATIONS['no hook'])).hook).toBeNull()
})

test('nix-darwin: launchd watches the queue, and secrets are read where they are', async () => {
  const configuration =
    'destinations.disk = { to = "file:///srv/cache"; secretKeyFile = "/etc/nix/key.private"; };'
  const { launchd, settings, failed } = await evaluate(configuration, 'darwin-module.nix')
  expect(failed).toEqual([])
  expect(launchd['nix-upload']?.serviceConfig).toMatchObject({
    QueueDirectories: ['/var/spool/nix-upload/new'],
  })
  expect(launchd['nix-upload']?.script).toMatch(/nix-upload drain --linger 1h$/m)
  expect(settings).toMatchObject({ destination: [{ 'secret-key-file': '/etc/nix/key.private' }] })
  expect(await complaints(settings)).toBe('')
})

test('every unit is started in a way that the package can give its own path to', () => {
  for (const name of readdirSync(SYSTEMD).filter((name) => name.endsWith('.service'))) {
    const starts = readFileSync(join(SYSTEMD, name), 'utf8').match(/^ExecStart=.*$/gm)
    expect(starts).toEqual([expect.stringMatching(/^ExecStart=nix-upload /)])
  }
})
