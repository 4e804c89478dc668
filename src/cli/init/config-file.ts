import { DEFAULTS } from '../../config/config.ts'
import { keyFilesIn } from '../../config/store-parameters.ts'
import { schemeOf } from '../../config/store-url.ts'

/** What goes into a new configuration file. */
export interface NewConfig {
  name: string
  to: string
  secretKeyFile: string | undefined
  spool: string
  gcroots: string
}

/** The text of a new configuration file: what was asked for, and what else is often wanted as comments. */
export function configText({ name, to, secretKeyFile, spool, gcroots }: NewConfig): string {
  const lines = [
    '# Where nix-upload uploads what Nix builds here. Made by `nix-upload init`; docs/CONFIGURATION.md has every key,',
    '# `nix-upload check-config` checks this file, and a change is read at the next start of the daemon.',
    '',
    ...(spool === DEFAULTS.spool
      ? []
      : ['# The hook reads no file: it is told the same.', `spool = ${quoted(spool)}`]),
    ...(gcroots === DEFAULTS.gcroots ? [] : [`gcroots = ${quoted(gcroots)}`]),
    '# How long the file of a delivered job stays in done/.',
    '#keep-done = "7d"',
    '',
    '# Every job goes to every destination; there may be several of these sections.',
    '[[destination]]',
    `name = ${quoted(name)}`,
    `to = ${quoted(to)}`,
    ...keyLines(to, secretKeyFile),
    ...loginLines(to),
    '# Names that are not uploaded, unless something that is uploaded needs them.',
    '#exclude = ["*-source", "nixos-system-*"]',
    '#max-size = "2GiB"',
    '# Reads each upload back, and signs what stood there unsigned before.',
    '#verify = true',
  ]
  return `${lines.join('\n')}\n`
}

function keyLines(to: string, secretKeyFile: string | undefined): string[] {
  if (secretKeyFile !== undefined) return [`secret-key-file = ${quoted(secretKeyFile)}`]
  if (keyFilesIn(to).length > 0) return []
  return [
    '# Without a key uploads keep the signatures they have, and what is built here has none.',
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
