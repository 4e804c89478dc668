// What a private Nix gets to see: its directories, its environment and its configuration.

import { delimiter, dirname, join } from 'node:path'
import type { NixVersion } from './nix-versions.mjs'

/** An environment that is complete for running programs. */
export type Environment = Record<string, string> & { HOME: string; PATH: string }

/** A complete environment for a Nix whose directories lie in `dir`: nothing of the ambient one but PATH. */
export function nixEnvironment(version: NixVersion, dir: string): Environment {
  return {
    NIX_STORE_DIR: join(dir, 'store'),
    NIX_STATE_DIR: join(dir, 'var'),
    NIX_LOG_DIR: join(dir, 'log'),
    NIX_CONF_DIR: join(dir, 'conf'),
    HOME: join(dir, 'home'),
    XDG_CACHE_HOME: join(dir, 'home/.cache'),
    XDG_CONFIG_HOME: join(dir, 'home/.config'),
    // Or Nix also reads /etc/xdg/nix/nix.conf.
    XDG_CONFIG_DIRS: join(dir, 'conf'),
    LC_ALL: 'C.UTF-8',
    // This Node, which need not be the machine's, right behind Nix.
    PATH: [version.bin, dirname(process.execPath), process.env.PATH ?? '/usr/bin:/bin'].join(delimiter),
  }
}

/** The text of its nix.conf. */
export function nixConf(version: NixVersion, settings: string[] = []): string {
  const conf = [
    'sandbox = false',
    'substituters =',
    'build-users-group =',
    'experimental-features = nix-command',
    // 2.8 starts it before every build and would look for it in the host's /usr/libexec. Lix would take it for a command.
    ...(version.isLix ? [] : [`build-hook = ${join(dirname(version.bin), 'libexec/nix/build-remote')}`]),
    // A test's store need not outlive a power cut.
    'fsync-metadata = false',
    ...settings,
  ]
  return `${conf.join('\n')}\n`
}
