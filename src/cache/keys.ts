import type { Destination } from '../config/config.ts'
import { keyFilesIn } from '../config/store-parameters.ts'
import { readSecretKeys, type SecretKey } from '../nix/secret-key.ts'

/**
 * The keys that a destination is signed with, those that its URL names too.
 * @throws {UserError} where a file can't be read or holds no key.
 */
export function keysOf({ secretKeyFile, to }: Destination): SecretKey[] {
  const files = [...(secretKeyFile === undefined ? [] : [secretKeyFile]), ...keyFilesIn(to)]
  return files.flatMap(readSecretKeys)
}
