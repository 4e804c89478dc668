import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DEFAULT_CONFIG_FILE } from '../config/config.ts'
import { shellWord } from '../util/shell-word.ts'
import { HOOK } from './own-hook.ts'

/**
 * `init` puts the hook beside nix.conf, which names it. No package owns this file, so no upgrade and no uninstall removes it:
 * Nix fails every build while its hook is missing.
 */
export const SYSTEM_HOOK = '/etc/nix/nix-upload-hook'

/** The settings of a hook that `init` installs. */
export interface HookSettings {
  spool: string
  /** Empty for no GC roots. */
  gcroots: string
  /** A file of the installed nix-upload. */
  program: string
}

/** The place of the hook for a configuration. */
export function installedHook(configFile = DEFAULT_CONFIG_FILE): string {
  return configFile === DEFAULT_CONFIG_FILE ? SYSTEM_HOOK : join(dirname(configFile), 'post-build-hook')
}

/** The text of the hook, with its settings in the first lines. It needs no other file of nix-upload. */
export function hookText({ spool, gcroots, program }: HookSettings): string {
  const [shell, ...rest] = linesOf(HOOK)
  return [
    shell,
    '# `nix-upload init` wrote this file, and overwrites changes to it. docs/INSTALL.md says why it is a copy.',
    `NIX_UPLOAD_SPOOL=${shellWord(spool)}`,
    `NIX_UPLOAD_GCROOTS=${shellWord(gcroots)}`,
    `NIX_UPLOAD_PROGRAM=${shellWord(program)}`,
    ...rest,
  ].join('\n')
}

/** The hook that an uninstall leaves behind. It does nothing, so that no build fails. */
export function uninstalledHookText(): string {
  return linesOf(new URL('../../bin/uninstalled-hook', import.meta.url)).join('\n')
}

/** In the Nix package, the first line names a shell in the store, which may be removed with the package. */
function linesOf(file: string | URL): string[] {
  const [, ...rest] = readFileSync(file, 'utf8').split('\n')
  return ['#!/bin/sh', ...rest]
}

/** A setting in the text of a hook; undefined if it has none. */
export function settingIn(text: string, name: `NIX_UPLOAD_${string}`): string | undefined {
  const found = new RegExp(`^\\s*(?:export )?${name}=(?:'([^'\\n]*)'|"([^"\\n]*)"|(\\S*))`, 'm').exec(text)
  return found?.[1] ?? found?.[2] ?? found?.[3]
}
