import type { Destination } from '../config/config.ts'
import { keyFilesIn } from '../config/store-parameters.ts'
import { readSecretKeys, type SecretKey } from '../nix/secret-key.ts'

/**
 * The keys that sign uploads to a destination, including those that its URL names.
 * @throws {UserError} if a file can't be read or holds no key.
 */
export function keysOf({ secretKeyFile, to }: Destination): SecretKey[] {
  const files = [...(secretKeyFile === undefined ? [] : [secretKeyFile]), ...keyFilesIn(to)]
  return files.flatMap(readSecretKeys)
}
