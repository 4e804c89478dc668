import { dirname } from 'node:path'
import { shellWord } from '../../util/shell-word.ts'

/** The settings of a hook for one command. */
export interface HookScript {
  /** The path of the real hook. */
  hook: string
  spool: string
  /** Empty for no GC roots. */
  gcroots: string
  /** `UID:GID`: the owner of the GC-root directory, if the hook must create it. */
  owner: string | undefined
  strict: boolean
}

/** The text of a hook that sets the variables and runs the real one: nix-daemon runs hooks in its own environment. */
export function hookScript({ hook, spool, gcroots, owner, strict }: HookScript): string {
  const lines = [
    '#!/bin/sh',
    '# Made by `nix-upload exec`, for one command.',
    `NIX_UPLOAD_SPOOL=${shellWord(spool)}`,
    `NIX_UPLOAD_GCROOTS=${shellWord(gcroots)}`,
    `NIX_UPLOAD_STRICT=${strict ? '1' : '0'}`,
    'export NIX_UPLOAD_SPOOL NIX_UPLOAD_GCROOTS NIX_UPLOAD_STRICT',
    ...(owner === undefined ? [] : directoryMaker(gcroots, owner)),
    `exec ${shellWord(hook)}`,
  ]
  return `${lines.join('\n')}\n`
}

/** `per-user/NAME` belongs to that user, as Nix creates it. */
function directoryMaker(gcroots: string, owner: string): string[] {
  const [directory, user] = [shellWord(gcroots), shellWord(dirname(gcroots))]
  return [
    // Added at the end: nix-daemon's PATH may be short.
    'PATH=$PATH:/usr/bin:/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin',
    `if ! [ -d ${directory} ]; then`,
    '  umask 022',
    `  mkdir -p ${directory} && chown ${owner} ${user} ${directory}`,
    'fi 2>/dev/null',
  ]
}
