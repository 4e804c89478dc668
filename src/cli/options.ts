import type { Argv } from 'yargs'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'

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
