import type { Argv } from 'yargs'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { formatDuration, parseDuration } from '../util/duration.ts'
import { EXIT, UserError } from '../util/user-error.ts'

/** `-` on the command line means this file. */
export const STDIN = '/dev/stdin'

/** The options of all commands. */
export interface CommonOptions {
  spool?: string | undefined
  config?: string | undefined
}

/** The additional options of commands that deliver. */
export interface DestinationOptions extends CommonOptions {
  to?: string | undefined
  'secret-key-file'?: string | undefined
}

/** Adds `--spool` and `--config`. */
export function withCommon<T>(yargs: Argv<T>) {
  return yargs
    .option('spool', {
      type: 'string',
      describe: 'The spool directory [default: $NIX_UPLOAD_SPOOL or /var/spool/nix-upload]',
      requiresArg: true,
    })
    .option('config', {
      type: 'string',
      describe:
        'The configuration file [default: $NIX_UPLOAD_CONFIG, or /etc/nix-upload/config.toml if it exists]',
      requiresArg: true,
    })
}

/** Adds `--to` and `--secret-key-file`. */
export function withDestination<T>(yargs: Argv<T>) {
  return withCommon(yargs)
    .option('to', {
      type: 'string',
      describe: 'Upload to this store URL instead of the configured destinations',
      requiresArg: true,
    })
    .option('secret-key-file', {
      type: 'string',
      describe: 'The key to sign with, for --to or for the default cache beside the spool',
      requiresArg: true,
    })
}

/** Loads the configuration for a command's options. */
export function configFor(options: DestinationOptions): Promise<Config> {
  return loadConfig({
    spool: options.spool,
    config: options.config,
    to: options.to,
    secretKeyFile: options['secret-key-file'],
  })
}

/**
 * Reads an option that is a duration.
 * @param most The longest one, in milliseconds.
 * @returns Milliseconds.
 * @throws {UserError} if it is none, or is longer.
 */
export function durationOf(option: string, value: string, most = Number.POSITIVE_INFINITY): number {
  const ms = parseDuration(/^\d+$/.test(value) ? Number(value) : value)
  if (ms !== undefined && ms <= most) return ms
  const limit = Number.isFinite(most) ? `, ${formatDuration(most)} at most` : ''
  throw new UserError(`${option}: expected a duration such as "10m"${limit}, got "${value}"`, EXIT.usage)
}
