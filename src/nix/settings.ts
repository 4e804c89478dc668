import { isObject } from '../util/is-object.ts'
import { NotStartedError, run } from '../util/run-program.ts'
import { NIX_COMMAND } from './copy.ts'
import { NixFailure, unlessFailed } from './failure.ts'
import { storeInfo } from './store-info.ts'

const QUERY_TIMEOUT_MS = 60_000

/** A Nix setting, as text; for a list, its words. */
export interface Setting {
  value: string
  defaultValue: string
}

/** `machine`: nix.conf, as nix-daemon reads it; `user`: also the settings of this user and the environment. */
type Whose = 'machine' | 'user'

/**
 * All Nix settings, by name.
 * @throws {NixFailure} if the configuration can't be read.
 */
export async function settings(whose: Whose): Promise<ReadonlyMap<string, Setting>> {
  const env = whose === 'machine' ? { NIX_CONFIG: '', NIX_USER_CONF_FILES: '/dev/null' } : {}
  const options = { env, silenceMs: QUERY_TIMEOUT_MS }
  // `show-config` up to 2.19, an alias with a warning later.
  let result = await run('nix', [...NIX_COMMAND, 'config', 'show', '--json'], options)
  if (result.exitCode !== 0) result = await run('nix', [...NIX_COMMAND, 'show-config', '--json'], options)
  const all: unknown = JSON.parse(unlessFailed(result).stdout)
  const entries = Object.entries(isObject(all) ? all : {})
  return new Map(entries.map(([name, entry]) => [name, isObject(entry) ? settingOf(entry) : settingOf({})]))
}

/** The value of a setting; empty if this Nix doesn't know it. */
export async function setting(name: string, whose: Whose): Promise<string> {
  return (await settings(whose)).get(name)?.value ?? ''
}

function settingOf({ value, defaultValue }: Record<string, unknown>): Setting {
  const text = (each: unknown) => (Array.isArray(each) ? each.join(' ') : String(each ?? ''))
  return { value: text(value), defaultValue: text(defaultValue) }
}

/** The key files with which Nix itself signs its builds. None if Nix can't be asked; that is reported elsewhere. */
export async function signingKeysOfNix(): Promise<string[]> {
  try {
    return (await setting('secret-key-files', 'machine')).split(' ').filter((file) => file !== '')
  } catch (error) {
    if (error instanceof NixFailure || error instanceof NotStartedError) return []
    throw error
  }
}

/** Whether builds of this user's go through nix-daemon, which runs their hook. */
export async function usesDaemon(): Promise<boolean> {
  const { url } = await storeInfo()
  return url === 'daemon' || url.startsWith('unix://')
}
