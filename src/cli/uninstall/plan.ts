import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Config, DEFAULT_CONFIG_FILE } from '../../config/config.ts'
import { isNoFile } from '../../config/named-paths.ts'
import { DROP_INS, INSTALLED_FILES, UNIT_DIRECTORY, UNITS } from '../init/install.ts'
import { removal, treeRemoval } from '../init/removal.ts'
import { file, program, type Step } from '../init/step.ts'
import { installedHook, uninstalledHookText } from '../installed-hook.ts'
import { hookLineRemoval } from './nix-conf.ts'

/** The installation to remove. */
export interface Installation {
  config: Config
  configFile: string
  /** Units and user belong to the whole machine: `init --install` or a package created them. */
  isSystemWide: boolean
  /** A package created them. */
  isPackaged: boolean
  hasSystemd: boolean
  hasUser: boolean
}

const SITE = { root: '' }
const USER = 'nix-upload'
const STATE = ['/var/lib/nix-upload', '/var/cache/nix-upload']

/**
 * The steps of `uninstall`, in this order. The hook comes first, so that no more jobs are queued, and no build fails because it is
 * missing.
 * @param purge Also remove spool, GC roots, configuration, keys and user; never caches.
 */
export function uninstallSteps(installation: Installation, purge: boolean): Step[] {
  const { configFile, isSystemWide } = installation
  const hook = installedHook(configFile)
  return [
    ...(existsSync(hook) ? [hookReplacement(hook)] : []),
    hookLineRemoval(nixConf(), hook),
    ...(isSystemWide ? serviceSteps(installation) : []),
    ...(purge ? purgeSteps(installation) : []),
  ]
}

function hookReplacement(path: string): Step {
  const { preview, perform } = file(SITE, {
    path,
    mode: 0o755,
    content: uninstalledHookText(),
    isOurs: true,
  })
  return {
    preview,
    perform: async () => {
      await perform()
      return `installed a hook that does nothing: ${path}`
    },
  }
}

/** The nix.conf that `init` named. */
export function nixConf(): string {
  return join(process.env.NIX_CONF_DIR ?? '/etc/nix', 'nix.conf')
}

function serviceSteps({ hasSystemd, isPackaged }: Installation): Step[] {
  const made = [...DROP_INS, ...(isPackaged ? [] : INSTALLED_FILES)].filter((path) => existsSync(path))
  const units = UNITS.filter((unit) => isPackaged || existsSync(`${UNIT_DIRECTORY}/${unit}`))
  return [
    ...(hasSystemd && units.length > 0
      ? [program(['systemctl', '--quiet', 'disable', '--now', ...units])]
      : []),
    ...made.map((path) => removal(SITE, path)),
    ...(hasSystemd ? [program(['systemctl', 'daemon-reload'])] : []),
  ]
}

function purgeSteps({ config, configFile, isSystemWide, hasUser }: Installation): Step[] {
  const keys = config.destinations.flatMap(({ secretKeyFile }) => secretKeyFile ?? [])
  const own = isSystemWide
    ? [treeRemoval(SITE, dirname(DEFAULT_CONFIG_FILE)), ...STATE.map((path) => treeRemoval(SITE, path))]
    : [configFile, ...keys.filter((key) => dirname(key) === dirname(configFile))]
        .filter((path) => !isNoFile(path))
        .map((path) => removal(SITE, path))
  return [
    treeRemoval(SITE, config.spool),
    ...(config.gcroots === '' ? [] : [treeRemoval(SITE, config.gcroots)]),
    ...own,
    ...(isSystemWide && hasUser ? [program(['userdel', USER])] : []),
  ]
}
