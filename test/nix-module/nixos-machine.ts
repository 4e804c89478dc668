// A machine that boots with what a NixOS would have made of the module: its units, PATH, tmpfiles, nix.conf, ssh_config.
// It is the Debian of test/systemd underneath, so a store path of nixpkgs is a directory of links to Debian's programs.

import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'smol-toml'
import type { Machine } from '../systemd/machine.ts'
import type { NixOs } from './evaluation.ts'

const SYSTEMD = fileURLToPath(new URL('../../systemd', import.meta.url))
const AWS_CREDENTIALS = fileURLToPath(new URL('../../nix/aws-credentials.sh', import.meta.url))
const INSTALLED = '/usr/local/lib/node_modules/nix-upload'
const UNITS = '/etc/systemd/system'

/** No more than nixpkgs' package of that name has, as far as the service could need it. */
const PROGRAMS: Record<string, string[]> = {
  bash: ['bash'],
  coreutils: [],
  findutils: ['find', 'xargs'],
  gnugrep: ['grep'],
  gnused: ['sed'],
  nix: ['nix', 'nix-store', 'nix-build', 'nix-daemon'],
  openssh: ['ssh'],
  systemd: ['systemctl', 'systemd-notify'],
}

/** What NixOS adds to each service's PATH. */
const ON_EVERY_PATH = ['coreutils', 'findutils', 'gnugrep', 'gnused', 'systemd']

/** A unit's name and what NixOS adds to it. */
interface DropIn {
  text: string
  wantedBy: readonly string[]
}

/** Makes the machine one that has this configuration, as `nixos-rebuild switch` does when it runs already. */
export async function switchTo(machine: Machine, nixos: NixOs, isBooted: boolean): Promise<void> {
  const dropIns = dropInsOf(nixos)
  const running = readdirSync(join(machine.root, UNITS)).filter((name) => name.startsWith('nix-upload'))
  if (isBooted) {
    const units = running.filter((name) => !name.endsWith('.d'))
    if (units.length > 0) await machine.do('systemctl', 'stop', ...units)
  }
  for (const name of running) rmSync(join(machine.root, UNITS, name), { recursive: true })
  installPackage(machine, nixos.package)
  for (const [name, { text }] of Object.entries(dropIns)) {
    installPath(machine, text)
    machine.write(`${UNITS}/${name}.d/overrides.conf`, text)
  }
  machine.write('/etc/sysusers.d/nixos.conf', 'u nix-upload - "Made by users.users" /var/lib/nix-upload\n')
  machine.write('/etc/tmpfiles.d/00-nixos.conf', `${nixos.tmpfiles.join('\n')}\n`)
  machine.write('/etc/NIXOS', '')
  installConfig(machine, nixos)
  machine.write('/etc/ssh/ssh_config', nixos.ssh)
  machine.write(
    '/etc/nix/nix.conf',
    `sandbox = false\nrequire-sigs = false\nsubstituters =\n${nixos.hook === null ? '' : `post-build-hook = ${nixos.hook}\n`}${nixos.nixConf}`,
  )
  installHook(machine, nixos)
  installAwsConfig(machine, nixos)
  const wanted = Object.entries(dropIns).filter(([, { wantedBy }]) => wantedBy.length > 0)
  if (!isBooted) {
    for (const [name, { wantedBy }] of wanted)
      for (const target of wantedBy) link(machine, `${UNITS}/${target}.wants/${name}`, `${UNITS}/${name}`)
    return
  }
  await machine.do('systemd-tmpfiles', '--create', '/etc/tmpfiles.d/00-nixos.conf')
  await machine.do('systemctl', 'daemon-reload')
  await machine.do('systemctl', 'restart', 'nix-daemon.service')
  await machine.do('systemctl', 'start', ...wanted.map(([name]) => name))
}

/** As NixOS writes them; where only the stand-in was evaluated, as NixOS would. */
function dropInsOf({ units, services, paths, timers }: NixOs): Record<string, DropIn> {
  if (Object.keys(units).length > 0) return units
  const all = [
    ...Object.entries(services).map(([name, service]) => {
      const programs = [...service.path, ...ON_EVERY_PATH]
      const path = programs.map((program) => `${fakeStore(program)}/bin`).join(':')
      const environment = Object.entries({ PATH: path, ...service.environment })
      const lines = environment.map(([key, value]) => `Environment="${key}=${value}"`)
      return [
        `${name}.service`,
        { Unit: service.unitConfig, Service: service.serviceConfig },
        lines,
        service,
      ] as const
    }),
    ...Object.entries(paths).map(
      ([name, path]) => [`${name}.path`, { Unit: path.unitConfig, Path: path.pathConfig }, [], path] as const,
    ),
    ...Object.entries(timers).map(([name, timer]) => [`${name}.timer`, {}, [], timer] as const),
  ]
  return Object.fromEntries(
    all.map(([name, sections, lines, { wantedBy }]) => [
      name,
      { text: `${unitText(sections)}${lines.join('\n')}\n`, wantedBy },
    ]),
  )
}

function unitText(sections: Record<string, Record<string, unknown>>): string {
  const line = (key: string) => (value: unknown) => `${key}=${value}\n`
  const all = Object.entries(sections).map(([section, settings]) => {
    const lines = Object.entries(settings).flatMap(([key, value]) => [value].flat().map(line(key)))
    return `[${section}]\n${lines.join('')}`
  })
  return all.join('')
}

function fakeStore(name: string): string {
  return `/nix/store/${'0'.repeat(32)}-${name}`
}

/** What nix/package.nix installs. */
function installPackage(machine: Machine, path: string): void {
  const launcher = `#!/bin/sh\nexec /usr/local/bin/node ${INSTALLED}/bin/nix-upload "$@"\n`
  machine.write(`${path}/bin/nix-upload`, launcher, 0o755)
  const hook = machine.read(`${INSTALLED}/bin/nix-upload-hook`)
  machine.write(`${path}/bin/nix-upload-hook`, hook, 0o755)
  for (const unit of readdirSync(SYSTEMD).filter((name) => /\.(service|path|timer)$/.test(name))) {
    const text = readFileSync(join(SYSTEMD, unit), 'utf8')
    machine.write(
      `${UNITS}/${unit}`,
      text.replace(/^ExecStart=nix-upload /m, `ExecStart=${path}/bin/nix-upload `),
    )
  }
}

/** A link into the store, as all that environment.etc makes. */
function installConfig(machine: Machine, { settings, services }: NixOs): void {
  const [file = ''] = Object.values(services).flatMap(({ restartTriggers }) => restartTriggers)
  machine.write(file, stringify(settings))
  link(machine, '/etc/nix-upload/config.toml', file)
}

/** The directories of a PATH in the store. */
function installPath(machine: Machine, unit: string): void {
  const [, path = ''] = /^Environment="PATH=([^"]*)"$/m.exec(unit) ?? []
  for (const directory of path.split(':').filter((name) => name.endsWith('/bin')))
    installStorePath(machine, dirname(directory))
}

function installStorePath(machine: Machine, path: string): void {
  const name = /^[a-z0-9]{32}-([a-z]+)/.exec(basename(path))?.[1] ?? ''
  const programs = PROGRAMS[name]
  if (!programs) throw new Error(`${path} is on the service's PATH, and no test knows what is in there`)
  for (const program of name === 'coreutils' ? coreutils(machine) : programs)
    link(machine, `${path}/bin/${program}`, `/usr/bin/${program}`)
}

/** Debian's list of what is in the package. */
function coreutils(machine: Machine): string[] {
  const list = machine.read('/var/lib/dpkg/info/coreutils.list').split('\n')
  return list.filter((path) => /^(\/usr)?\/bin\/[^/]+$/.test(path)).map((path) => basename(path))
}

/** The script that tells the hook of other directories, as nix/options.nix has it. */
function installHook(machine: Machine, { hookProgram, package: path, settings }: NixOs): void {
  if (hookProgram === `${path}/bin/nix-upload-hook`) return
  const lines = [
    '#!/bin/sh',
    `NIX_UPLOAD_SPOOL='${settings.spool}' NIX_UPLOAD_GCROOTS='${settings.gcroots}' exec ${path}/bin/nix-upload-hook`,
  ]
  machine.write(hookProgram, `${lines.join('\n')}\n`, 0o755)
}

function installAwsConfig(machine: Machine, { aws, services }: NixOs): void {
  if (aws === null) return
  for (const { environment } of Object.values(services))
    if (environment.AWS_CONFIG_FILE) machine.write(environment.AWS_CONFIG_FILE, aws)
  for (const [, shell = '', script = ''] of aws.matchAll(/^credential_process = (\S+) (\S+)/gm)) {
    if (shell.startsWith('/nix/store/')) installStorePath(machine, dirname(dirname(shell)))
    machine.write(script, readFileSync(AWS_CREDENTIALS, 'utf8'), 0o444)
  }
}

function link(machine: Machine, path: string, target: string): void {
  const real = join(machine.root, path)
  mkdirSync(dirname(real), { recursive: true })
  rmSync(real, { force: true })
  symlinkSync(target, real)
}

/** A key pair of ssh's, made on this machine. */
export function sshKey(): { secret: string; public: string } {
  const dir = execFileSync('mktemp', ['-d']).toString().trim()
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', join(dir, 'id')])
  const [secret, open] = ['id', 'id.pub'].map((name) => readFileSync(join(dir, name), 'utf8'))
  rmSync(dir, { recursive: true })
  return { secret: secret ?? '', public: (open ?? '').trim() }
}
