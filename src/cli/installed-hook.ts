import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DEFAULT_CONFIG_FILE } from '../config/config.ts'
import { shellWord } from '../util/shell-word.ts'
import { HOOK } from './own-hook.ts'

/**
 * Where `init` puts the hook of a machine: beside nix.conf, which names it. No package owns this file, so that no
 * upgrade and no uninstall takes it away: Nix fails every build while its hook is missing.
 */
export const SYSTEM_HOOK = '/etc/nix/nix-upload-hook'

/** What a hook that `init` put in place does without asking anybody. */
export interface HookSettings {
  spool: string
  /** Empty for no GC roots. */
  gcroots: string
  /** A file that is there as long as nix-upload is installed. */
  program: string
}

/** Where `init` puts the hook that goes with a configuration. */
export function installedHook(configFile = DEFAULT_CONFIG_FILE): string {
  return configFile === DEFAULT_CONFIG_FILE ? SYSTEM_HOOK : join(dirname(configFile), 'post-build-hook')
}

/** The whole hook, with its settings in the first lines: it needs nothing that is installed. */
export function hookText({ spool, gcroots, program }: HookSettings): string {
  const [shell, ...rest] = linesOf(HOOK)
  return [
    shell,
    '# Put here by `nix-upload init`, which overwrites what is changed in this file. docs/INSTALL.md says why it is a copy.',
    `NIX_UPLOAD_SPOOL=${shellWord(spool)}`,
    `NIX_UPLOAD_GCROOTS=${shellWord(gcroots)}`,
    `NIX_UPLOAD_PROGRAM=${shellWord(program)}`,
    ...rest,
  ].join('\n')
}

/** The hook that an uninstall leaves behind, which fails no build. */
export function uninstalledHookText(): string {
  return linesOf(new URL('../../bin/uninstalled-hook', import.meta.url)).join('\n')
}

/** In a package of Nix's the first line names a shell in the store, which goes with the package. */
function linesOf(file: string | URL): string[] {
  const [, ...rest] = readFileSync(file, 'utf8').split('\n')
  return ['#!/bin/sh', ...rest]
}

/** A setting in the text of a hook; undefined if it has none. */
export function settingIn(text: string, name: `NIX_UPLOAD_${string}`): string | undefined {
  const found = new RegExp(`^\\s*(?:export )?${name}=(?:'([^'\\n]*)'|"([^"\\n]*)"|(\\S*))`, 'm').exec(text)
  return found?.[1] ?? found?.[2] ?? found?.[3]
}
