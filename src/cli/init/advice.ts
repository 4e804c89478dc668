import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DEFAULT_CONFIG_FILE } from '../../config/config.ts'
import { schemeOf } from '../../config/store-url.ts'
import { lifeOf } from '../../daemon/identity.ts'
import { staleness } from '../../daemon/stale.ts'
import { publicKeyOf } from '../../nix/secret-key.ts'
import { spoolAt } from '../../spool/layout.ts'
import { readReport } from '../../spool/report.ts'
import { ENVIRONMENT_FILE } from '../../util/unit.ts'
import { installedHook } from '../installed-hook.ts'
import { localDirectory, type Settled } from './settled.ts'

/** Parameters of a store URL that matter for writing only. */
const FOR_WRITING =
  /^(secret-key|compression|compression-level|parallel-compression|write-nar-listing|write-debug-info|multipart-upload|buffer-size)=/

/** A hint for readers of private buckets: their Nix may lack what nix-upload has. */
const FROM_S3 =
  'To fetch from a private bucket, they need a Nix that was built with S3 (Debian’s was not) and their own credentials. nix-daemon runs ' +
  'as root, so these are in /root/.aws/credentials (docs/CACHES.md).'

/** The steps that are left to do by hand, as lines to copy. */
export function adviceFor(settled: Settled): string {
  const s3 = schemeOf(settled.to) === 's3' ? `\n${FROM_S3}\n` : ''
  if (settled.isModuleOn) return withModule(settled) + s3
  return (settled.isNixOs ? onNixOs(settled) : elsewhere(settled)) + s3
}

function elsewhere(settled: Settled): string {
  const { configFile, to, hasSystemd } = settled
  const conf = join(process.env.NIX_CONF_DIR ?? '/etc/nix', 'nix.conf')
  const restart = hasSystemd ? ['systemctl restart nix-daemon'] : []
  const steps: (readonly [title: string, lines: readonly string[]])[] = [
    ...(schemeOf(to) === 's3' ? [credentials(settled)] : []),
    [`Add to ${conf} on this machine, which builds`, [`post-build-hook = ${installedHook(configFile)}`]],
    [
      `Then, to make nix-daemon use the hook${hasSystemd ? '' : ' (restart it, if there is one)'} and to start the uploads`,
      [...restart, ...startLines(settled)],
    ],
    [
      'Make a first build, which is uploaded, and check the setup',
      [
        FIRST_BUILD,
        ...['wait --timeout 1m', 'doctor'].map((command) => `nix-upload ${command}${flags(settled)}`),
      ],
    ],
    usersLines(settled),
  ]
  return steps.map(([title, lines], at) => section(`${at + 1}. ${title}`, lines)).join('\n')
}

/** The place of the service's credentials. */
function credentials({
  root,
  install,
  hasService,
  user,
}: Settled): readonly [title: string, lines: readonly string[]] {
  const lines = ['AWS_ACCESS_KEY_ID=', 'AWS_SECRET_ACCESS_KEY=']
  if (hasService && (install || existsSync(join(root, ENVIRONMENT_FILE)))) {
    const title = `Write the bucket's credentials into ${ENVIRONMENT_FILE}, which only root can read (not needed if the machine has a role)`
    return [title, lines]
  }
  return [
    `Put the bucket's credentials into the environment of the uploading process, or into ~${user}/.aws/credentials`,
    lines,
  ]
}

/** It is different each time, and needs no nixpkgs: a path that exists already would be neither built nor uploaded. */
const FIRST_BUILD = `nix-build --no-out-link -E 'derivation { name = "first-upload"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo \${toString builtins.currentTime} > $out" ]; }'`

function withModule(settled: Settled): string {
  const done =
    'services.nix-upload is on in the configuration of this NixOS, so there is nothing to do. Its options change what is set up (docs/NIXOS.md).'
  return [`${done}\n`, section(...usersLines(settled))].join('\n')
}

function onNixOs(settled: Settled): string {
  const { to, name, key } = settled
  const lines = [
    '# with nixosModules.default of nix-upload among the modules: docs/NIXOS.md',
    'services.nix-upload = {',
    '  enable = true;',
    `  destinations.${JSON.stringify(name)} = {`,
    `    to = ${JSON.stringify(to).replaceAll('$' + '{', '\\$' + '{')};`,
    ...(key ? [`    secretKeyFile = ${JSON.stringify(key.secretKeyFile)};`] : []),
    '  };',
    '};',
  ]
  const done =
    'This is NixOS, where the module sets up hook, spool and service. Add to the configuration of this machine, then run nixos-rebuild switch'
  return [section(done, lines), section(...usersLines(settled))].join('\n')
}

function usersLines(settled: Settled): readonly [title: string, lines: readonly string[]] {
  const lines = [`extra-substituters = ${forReading(settled.to)}`]
  const publicKey = publicKeyIn(settled)
  if (publicKey !== undefined) lines.push(`extra-trusted-public-keys = ${publicKey}`)
  const unsigned =
    publicKey === undefined && !settled.isSigned
      ? '; Nix takes no unsigned paths from there without ?trusted=1'
      : ''
  const elsewhere =
    localDirectory(settled.to) === undefined
      ? ''
      : ' (on other machines: the URL of a web server that serves this folder)'
  return [`Add to nix.conf on every machine that fetches from the cache${elsewhere}${unsigned}`, lines]
}

function publicKeyIn({ key, root }: Settled): string | undefined {
  if (!key) return undefined
  const file = join(root, key.secretKeyFile)
  return existsSync(file) ? publicKeyOf(file) : `${key.name}:… (when the key exists)`
}

function forReading(to: string): string {
  const [base = '', query = ''] = to.split('?')
  const kept = query.split('&').filter((pair) => pair !== '' && !FOR_WRITING.test(pair))
  return kept.length === 0 ? base : `${base}?${kept.join('&')}`
}

function startLines(settled: Settled): string[] {
  const { hasService, user, spool, root } = settled
  const isRoot = process.getuid?.() === 0
  if (hasService) {
    const report = readReport(spoolAt(join(root, spool)))
    const stale = report && lifeOf(report) === 'alive' ? staleness(report, []) : undefined
    return ['systemctl enable --now nix-upload.service', ...(stale ? [stale.command] : [])]
  }
  const watch = `nix-upload watch${flags(settled)}`
  return [isRoot && user !== 'root' ? `runuser -u ${user} -- ${watch}` : watch]
}

function flags({ configFile }: Settled): string {
  return configFile === DEFAULT_CONFIG_FILE ? '' : ` --config ${configFile}`
}

/** Lines to copy, below their title. */
export function section(title: string, lines: readonly string[]): string {
  return `${title}:\n\n${lines.map((line) => `    ${line}\n`).join('')}`
}
