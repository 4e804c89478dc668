import type { Config } from '../../config/config.ts'
import { installedHook } from '../installed-hook.ts'
import { hookToName } from '../own-hook.ts'
import { quoted, toType } from './check.ts'
import { initLine, isNpms } from './hook-file.ts'

export const RESTART = 'systemctl restart nix-daemon'

/** What to do if `post-build-hook` names no hook of ours. */
export interface HookRemedies {
  /** The hook to name. */
  hook: string
  /** The lines to type so that nix-daemon runs a hook. */
  lines(hook: string): string[]
  /** If a file is missing that `post-build-hook` names. */
  ifMissing(file: string): string
}

/** @param conf The nix.conf to change. */
export function hookRemedies(config: Config, conf: string): HookRemedies {
  const installed = installedHook(config.source)
  const named = hookToName(installed)
  // npm's own file would be the next problem.
  const mustInit = config.source !== undefined && isNpms(named)
  const lines = (hook: string) => [
    ...(mustInit ? [initLine(config)] : []),
    `echo 'post-build-hook = ${hook}' >> ${quoted(conf)}`,
    RESTART,
  ]
  const hook = mustInit ? installed : named
  const ifMissing = (file: string) => {
    const isInits = file === installed && config.source !== undefined
    if (isInits) return toType('Put it back', initLine(config))
    return toType('Set it; if there are two lines, the last one counts', ...lines(hook))
  }
  return { hook, lines, ifMissing }
}
