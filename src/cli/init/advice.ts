import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DEFAULT_CONFIG_FILE } from '../../config/config.ts'
import { schemeOf } from '../../config/store-url.ts'
import { publicKeyOf } from '../../nix/secret-key.ts'
import { hookOf } from './plan.ts'
import type { Settled } from './settled.ts'

/** Parameters of a store URL that are for writing to it. */
const FOR_WRITING =
  /^(secret-key|compression|compression-level|parallel-compression|write-nar-listing|write-debug-info|multipart-upload|buffer-size)=/

/** What nix-upload has of its own, and Nix may not. */
const FROM_S3 =
  'From a private bucket they fetch only with a Nix that was built with S3 (Debian’s is not) and with credentials of their own: those of ' +
  'root, whom nix-daemon runs as, in /root/.aws/credentials (docs/CACHES.md).'

/** What is left to do by hand, each to copy. */
export function adviceFor(settled: Settled): string {
  if (settled.isModuleOn) return withModule(settled)
  return settled.isNixOs ? onNixOs(settled) : elsewhere(settled)
}

function elsewhere(settled: Settled): string {
  const conf = join(process.env.NIX_CONF_DIR ?? '/etc/nix', 'nix.conf')
  const restart = settled.hasSystemd ? ['systemctl restart nix-daemon'] : []
  return [
    section(`Into ${conf} of this machine, which builds`, [`post-build-hook = ${hookOf(settled)}`]),
    section(
      `Then, for nix-daemon to know the hook${restart.length === 0 ? ' (restart it, where there is one)' : ''} and for uploads to begin`,
      [...restart, startLine(settled)],
    ),
    forUsers(settled),
    section('And to see whether all is well', [`nix-upload doctor${configFlag(settled)}`]),
  ].join('\n')
}

function withModule(settled: Settled): string {
  const done =
    'services.nix-upload is on in the configuration of this NixOS, so there is nothing to do. Its options change what is set up (docs/NIXOS.md).'
  return [`${done}\n`, forUsers(settled)].join('\n')
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
  return [section(done, lines), forUsers(settled)].join('\n')
}

function forUsers(settled: Settled): string {
  const lines = [`extra-substituters = ${forReading(settled.to)}`]
  const publicKey = publicKeyIn(settled)
  if (publicKey !== undefined) lines.push(`extra-trusted-public-keys = ${publicKey}`)
  const unsigned =
    publicKey === undefined && !settled.isSigned
      ? '; Nix takes nothing unsigned from there unless it is told to (?trusted=1)'
      : ''
  const s3 = schemeOf(settled.to) === 's3' ? `\n${FROM_S3}\n` : ''
  return section(`Into nix.conf of everybody who fetches from the cache${unsigned}`, lines) + s3
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

function startLine(settled: Settled): string {
  const { install, hasSystemd, user } = settled
  const isRoot = process.getuid?.() === 0
  if (install && hasSystemd) return 'systemctl enable --now nix-upload.service'
  const watch = `nix-upload watch${configFlag(settled)}`
  return isRoot && user !== 'root' ? `runuser -u ${user} -- ${watch}` : watch
}

function configFlag({ configFile }: Settled): string {
  return configFile === DEFAULT_CONFIG_FILE ? '' : ` --config ${configFile}`
}

function section(title: string, lines: readonly string[]): string {
  return `${title}:\n\n${lines.map((line) => `    ${line}\n`).join('')}`
}
