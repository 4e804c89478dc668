// The Nix at the other end of ssh: programs for `remote-program=` that bring their own environment along.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { PrivateNix } from '../private-nix.ts'

export interface RemoteNixOptions {
  /** A line of shell before Nix is run. */
  before?: string
  /** Settings for its nix.conf. */
  settings?: string[]
}

/**
 * A second store of a private Nix, in `root`, as a destination.
 * @returns Its URLs. The store directory goes by the same name as the first one's, or it could not take its paths.
 */
export async function remoteNix(
  nix: PrivateNix,
  name: string,
  options: RemoteNixOptions = {},
): Promise<{ root: string; ssh: string; sshNg: string }> {
  const root = join(nix.dir, name)
  const environment = Object.entries({
    ...nix.env,
    NIX_REMOTE: `local?root=${root}`,
    NIX_CONFIG: (options.settings ?? []).join('\n'),
  })
  const program = async (command: string): Promise<string> => {
    const lines = [
      '#!/bin/sh',
      ...environment.map(([key, value]) => `export ${key}=${quoted(value)}`),
      options.before ?? '',
      `exec ${command} "$@"`,
    ]
    return await executable(join(nix.dir, `${name}-${command}`), `${lines.join('\n')}\n`)
  }
  return {
    root,
    ssh: `ssh://127.0.0.1?remote-program=${await program('nix-store')}`,
    sshNg: `ssh-ng://127.0.0.1?remote-program=${await program('nix-daemon')}`,
  }
}

/** Writes a program. */
export async function executable(file: string, content: string): Promise<string> {
  await writeFile(file, content, { mode: 0o755 })
  return file
}

/** A word for the shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
