import { realpathSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { hookText, installedHook, settingIn, uninstalledHookText } from '../installed-hook.ts'
import { isOurs } from '../own-hook.ts'
import { type Check, fail, type Patient, toType, warn } from './check.ts'

const NAME = 'hook'

/**
 * Checks the file that post-build-hook names: will it still be there after an upgrade, and is it of this version?
 * @param text The content of the file.
 * @returns undefined if all is well, or if it is a script that runs the hook in its own way.
 */
export function checkHookFile(file: string, text: string, { config }: Patient): Check | undefined {
  const init = initLine(config)
  if (text === uninstalledHookText()) {
    return fail(
      NAME,
      `${file} was left by an uninstall, and queues nothing`,
      toType('Install the hook again', init),
    )
  }
  if (!isOurs(file)) return undefined
  const program = settingIn(text, 'NIX_UPLOAD_PROGRAM')
  if (program !== undefined) {
    if (text === hookText({ spool: config.spool, gcroots: config.gcroots, program })) return undefined
    if (settingIn(text, 'NIX_UPLOAD_SPOOL') !== config.spool) return undefined
    return warn(NAME, `${file} has another version or other settings`, toType('Update it', init))
  }
  if (!isNpms(file)) return undefined
  const what = `${file} belongs to npm, which removes it during an upgrade or uninstall, and then every build fails`
  const name = installedHook(config.source)
  return warn(NAME, what, toType(`Install a copy that stays, then set post-build-hook = ${name}`, init))
}

/** The command that puts the hook, and all else that `init` makes, in its place. */
export function initLine({ source }: Config): string {
  return `nix-upload init${source === undefined ? ' --install' : flagsFor(source)}`
}

/** True for a file that npm removes during an upgrade. */
export function isNpms(file: string): boolean {
  return realpathSync(file).includes('/node_modules/')
}

function flagsFor(source: string): string {
  return installedHook(source) === installedHook() ? ' --install' : ` --config ${source}`
}
