import { realpathSync } from 'node:fs'
import { hookText, installedHook, settingIn, uninstalledHookText } from '../installed-hook.ts'
import { isOurs } from '../own-hook.ts'
import { type Check, fail, type Patient, toType, warn } from './check.ts'

const NAME = 'hook'

/**
 * Looks at what post-build-hook names: is it a hook that will be there tomorrow, and of this version?
 * @param text What is in the file.
 * @returns undefined if it is, or where it is a script that runs the hook in its own way.
 */
export function checkHookFile(file: string, text: string, { config }: Patient): Check | undefined {
  const init = `nix-upload init${config.source === undefined ? ' --install' : flagsFor(config.source)}`
  if (text === uninstalledHookText()) {
    return fail(
      NAME,
      `${file} is what an uninstall left: it queues nothing`,
      toType('It puts the hook back', init),
    )
  }
  if (!isOurs(file)) return undefined
  const program = settingIn(text, 'NIX_UPLOAD_PROGRAM')
  if (program !== undefined) {
    if (text === hookText({ spool: config.spool, gcroots: config.gcroots, program })) return undefined
    if (settingIn(text, 'NIX_UPLOAD_SPOOL') !== config.spool) return undefined
    return warn(
      NAME,
      `${file} is of another version or for other settings`,
      toType('It brings it up to date', init),
    )
  }
  if (!realpathSync(file).includes('/node_modules/')) return undefined
  const what = `${file} is npm's, which takes it away while it upgrades or uninstalls, and then every build fails`
  const name = installedHook(config.source)
  return warn(NAME, what, toType(`Put one in place that stays, then post-build-hook = ${name}`, init))
}

function flagsFor(source: string): string {
  return installedHook(source) === installedHook() ? ' --install' : ` --config ${source}`
}
