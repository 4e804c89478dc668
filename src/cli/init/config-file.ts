import { DEFAULTS } from '../../config/config.ts'
import { keyFilesIn } from '../../config/store-parameters.ts'
import { schemeOf } from '../../config/store-url.ts'

/** The settings in a new configuration file. */
export interface NewConfig {
  name: string
  to: string
  secretKeyFile: string | undefined
  spool: string
  gcroots: string
}

/** The text of a new configuration file: the given settings, and other common ones as comments. */
export function configText({ name, to, secretKeyFile, spool, gcroots }: NewConfig): string {
  const lines = [
    '# The configuration of nix-upload, made by `nix-upload init`. `man nix-upload.toml` (docs/CONFIGURATION.md) describes all keys.',
    '# `nix-upload check-config` checks this file. Changes take effect when the daemon is restarted.',
    '',
    ...(spool === DEFAULTS.spool
      ? []
      : ['# The hook does not read this file: set the same in its first lines.', `spool = ${quoted(spool)}`]),
    ...(gcroots === DEFAULTS.gcroots ? [] : [`gcroots = ${quoted(gcroots)}`]),
    '# How long the file of a delivered job stays in done/.',
    '#keep-done = "7d"',
    '',
    '# Each job is uploaded to all destinations; there may be several of these sections.',
    '[[destination]]',
    `name = ${quoted(name)}`,
    `to = ${quoted(to)}`,
    ...keyLines(to, secretKeyFile),
    ...loginLines(to),
    '# Names that are not uploaded, unless an uploaded path needs them.',
    '#exclude = ["*-source", "nixos-system-*"]',
    '#max-size = "2GiB"',
    '# Reads each upload back, and signs paths that were there without a signature.',
    '#verify = true',
  ]
  return `${lines.join('\n')}\n`
}

function keyLines(to: string, secretKeyFile: string | undefined): string[] {
  if (secretKeyFile !== undefined) return [`secret-key-file = ${quoted(secretKeyFile)}`]
  if (keyFilesIn(to).length > 0) return []
  return [
    '# Without a key, uploads keep their signatures, and paths that are built here have none.',
    '#secret-key-file = "/etc/nix-upload/cache.key"',
  ]
}

function loginLines(to: string): string[] {
  if (/^https?$/.test(schemeOf(to))) {
    return ['# User name and password, if the server wants them.', '#netrc-file = "/etc/nix-upload/netrc"']
  }
  if (schemeOf(to) !== 's3') return []
  return ['# Credentials come from /etc/nix-upload/environment or ~/.aws/credentials of the daemon’s user.']
}

/** A TOML basic string; JSON escapes in the same way. */
function quoted(text: string): string {
  return JSON.stringify(text)
}
