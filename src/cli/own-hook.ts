import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The hook of this very nix-upload. */
export const HOOK = fileURLToPath(new URL('../../bin/nix-upload-hook', import.meta.url))

/**
 * What to write into nix.conf.
 * @param installed Where `init` puts the hook: that one where it is there, otherwise the hook's name on PATH.
 */
export function hookToName(installed: string): string {
  const directories = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => directory.startsWith('/'))
  const named = directories.map((directory) => join(directory, 'nix-upload-hook'))
  return [installed, ...named].find(isOurs) ?? HOOK
}

/** True for the hook itself, wherever it lies; not for a script that runs it. */
export function isOurs(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').includes('docs/SPOOL.md describes the spool')
  } catch {
    return false
  }
}
