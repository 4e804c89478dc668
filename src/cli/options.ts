import type { Argv } from 'yargs'
import type { Config } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'

/** What `-` on the command line stands for. */
export const STDIN = '/dev/stdin'

/** What every command takes. */
export interface CommonOptions {
  spool?: string | undefined
  config?: string | undefined
}

/** What the delivering commands take besides. */
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

/** Loads the configuration that a command's options ask for. */
export function configFor(options: DestinationOptions): Promise<Config> {
  return loadConfig({
    spool: options.spool,
    config: options.config,
    to: options.to,
    secretKeyFile: options['secret-key-file'],
  })
}
