import { isObject } from '../util/is-object.ts'
import { run } from '../util/run-program.ts'
import { NIX_COMMAND, NIX_ENABLED } from './copy.ts'
import { unlessFailed } from './failure.ts'

const QUERY_TIMEOUT_MS = 60_000

/**
 * The value of a setting of Nix's.
 * @param whose `machine`: what nix.conf says, as nix-daemon reads it; `user`: with what this user adds to that.
 * @throws {NixFailure} where the configuration can't be read.
 */
export async function setting(name: string, whose: 'machine' | 'user'): Promise<string> {
  const env = whose === 'machine' ? { NIX_CONFIG: '', NIX_USER_CONF_FILES: '/dev/null' } : {}
  const options = { env, silenceMs: QUERY_TIMEOUT_MS }
  // `show-config` up to 2.19, an alias with a warning later.
  let result = await run('nix', [...NIX_COMMAND, 'config', 'show', '--json'], options)
  if (result.exitCode !== 0) result = await run('nix', [...NIX_COMMAND, 'show-config', '--json'], options)
  const value: unknown = JSON.parse(unlessFailed(result).stdout)
  const entry = isObject(value) ? value[name] : undefined
  return isObject(entry) && entry.value !== null ? String(entry.value ?? '') : ''
}

/** Whether builds of this user's go through nix-daemon, which runs their hook. */
export async function usesDaemon(): Promise<boolean> {
  const result = await run('nix', [...NIX_ENABLED, 'store', 'ping'], { silenceMs: QUERY_TIMEOUT_MS })
  const { stdout, lines } = unlessFailed(result)
  const [, url = ''] = /Store URL: (\S+)/.exec(`${stdout}\n${lines.join('\n')}`) ?? []
  return url === 'daemon' || url.startsWith('unix://')
}
