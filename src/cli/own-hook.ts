import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The hook of this nix-upload. */
export const HOOK = fileURLToPath(new URL('../../bin/nix-upload-hook', import.meta.url))

/**
 * The hook to name in nix.conf.
 * @param installed Where `init` puts the hook. If it isn't there, the hook on PATH is used.
 */
export function hookToName(installed: string): string {
  const directories = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => directory.startsWith('/'))
  const named = directories.map((directory) => join(directory, 'nix-upload-hook'))
  return [installed, ...named].find(isOurs) ?? HOOK
}

/** True for a copy of the hook; not for a script that runs it. */
export function isOurs(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').includes('docs/SPOOL.md describes the spool')
  } catch {
    return false
  }
}
