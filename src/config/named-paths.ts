import { statSync } from 'node:fs'
import { EXIT, UserError } from '../util/user-error.ts'

/**
 * The configuration file that somebody named: `--config`, or else `NIX_UPLOAD_CONFIG`.
 * @throws {UserError} if the variable is a relative path.
 */
export function namedFile(
  config: string | undefined,
  env: NodeJS.ProcessEnv = process.env,
): string | undefined {
  if (config !== undefined) return config
  refuseRelative(env, ['NIX_UPLOAD_CONFIG'])
  return env.NIX_UPLOAD_CONFIG || undefined
}

/** True for something else than a file: `/dev/null` stands for a configuration without content. */
export function isNoFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === false
}

/**
 * The hook refuses relative paths too: it runs in another directory, so it would mean another spool.
 * @throws {UserError} if one of the variables is a relative path.
 */
export function refuseRelative(env: NodeJS.ProcessEnv, names: readonly string[]): void {
  for (const name of names) {
    const value = env[name]
    if (!value || value.startsWith('/')) continue
    throw new UserError(`${name}: expected an absolute path, got "${value}"`, EXIT.badConfig)
  }
}
