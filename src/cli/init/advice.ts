import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DEFAULT_CONFIG_FILE } from '../../config/config.ts'
import { schemeOf } from '../../config/store-url.ts'
import { lifeOf } from '../../daemon/identity.ts'
import { staleness } from '../../daemon/stale.ts'
import { publicKeyOf } from '../../nix/secret-key.ts'
import { spoolAt } from '../../spool/layout.ts'
import { readReport } from '../../spool/report.ts'
import { installedHook } from '../installed-hook.ts'
import { ENVIRONMENT_FILE } from './install.ts'
import { localDirectory, type Settled } from './settled.ts'

/** Parameters of a store URL that are for writing to it. */
const FOR_WRITING =
  /^(secret-key|compression|compression-level|parallel-compression|write-nar-listing|write-debug-info|multipart-upload|buffer-size)=/

/** What nix-upload has of its own, and Nix may not. */
const FROM_S3 =
  'From a private bucket they fetch only with a Nix that was built with S3 (Debian’s is not) and with credentials of their own: those of ' +
  'root, whom nix-daemon runs as, in /root/.aws/credentials (docs/CACHES.md).'

/** What is left to do by hand, each to copy. */
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
    [`Into ${conf} of this machine, which builds`, [`post-build-hook = ${installedHook(configFile)}`]],
    [
      `Then, for nix-daemon to know the hook${hasSystemd ? '' : ' (restart it, where there is one)'} and for uploads to begin`,
      [...restart, ...startLines(settled)],
    ],
    [
      'A first build, which is uploaded, and a look at whether all is well',
      [
        FIRST_BUILD,
        ...['wait --timeout 1m', 'doctor'].map((command) => `nix-upload ${command}${flags(settled)}`),
      ],
    ],
    usersLines(settled),
  ]
  return steps.map(([title, lines], at) => section(`${at + 1}. ${title}`, lines)).join('\n')
}

/** Where the service gets what it signs in with. */
function credentials({
  install,
  hasSystemd,
  user,
}: Settled): readonly [title: string, lines: readonly string[]] {
  const lines = ['AWS_ACCESS_KEY_ID=', 'AWS_SECRET_ACCESS_KEY=']
  if (install && hasSystemd) {
    const title = `The bucket's credentials into ${ENVIRONMENT_FILE}, which root alone can read (none where the machine has a role)`
    return [title, lines]
  }
  return [
    `The bucket's credentials into the environment of what uploads, or into ~${user}/.aws/credentials`,
    lines,
  ]
}

/** Built every time anew, on any machine and without nixpkgs: what is there already is neither built nor uploaded. */
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
    'This is NixOS, where the module sets up hook, spool and service. Into the configuration of this machine, then: nixos-rebuild switch'
  return [section(done, lines), section(...usersLines(settled))].join('\n')
}

function usersLines(settled: Settled): readonly [title: string, lines: readonly string[]] {
  const lines = [`extra-substituters = ${forReading(settled.to)}`]
  const publicKey = publicKeyIn(settled)
  if (publicKey !== undefined) lines.push(`extra-trusted-public-keys = ${publicKey}`)
  const unsigned =
    publicKey === undefined && !settled.isSigned
      ? '; Nix takes nothing unsigned from there unless it is told to (?trusted=1)'
      : ''
  const elsewhere =
    localDirectory(settled.to) === undefined
      ? ''
      : ' (on other machines: the URL of a web server that serves this folder)'
  return [`Into nix.conf of everybody who fetches from the cache${elsewhere}${unsigned}`, lines]
}

function publicKeyIn({ key, root }: Settled): string | undefined {
  if (!key) return undefined
  const file = join(root, key.secretKeyFile)
  return existsSync(file) ? publicKeyOf(file) : `${key.name}:… (once the key is made)`
}

function forReading(to: string): string {
  const [base = '', query = ''] = to.split('?')
  const kept = query.split('&').filter((pair) => pair !== '' && !FOR_WRITING.test(pair))
  return kept.length === 0 ? base : `${base}?${kept.join('&')}`
}

function startLines(settled: Settled): string[] {
  const { install, hasSystemd, user, spool, root } = settled
  const isRoot = process.getuid?.() === 0
  if (install && hasSystemd) {
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

/** Lines to copy, below what they are for. */
export function section(title: string, lines: readonly string[]): string {
  return `${title}:\n\n${lines.map((line) => `    ${line}\n`).join('')}`
}
