import { keyFilesIn, parametersOf } from '../config/store-parameters.ts'
import { isBinaryCache, withoutParameters, withParameters } from '../config/store-url.ts'
import { UserError } from '../util/user-error.ts'
import { plain } from './said.ts'
import { readSecretKeys, severalKeysProblem } from './secret-key.ts'

/** A store, and the key that paths get there beside those that its URL names. */
export interface SignedStore {
  to: string
  secretKeyFile?: string | undefined
}

/**
 * The URL for Nix to upload to. A binary cache gets zstd, and all its keys: one as `secret-key`, which every Nix knows, the others as
 * `secret-keys`.
 */
export function uploadUrl(store: SignedStore): string {
  const { to } = store
  if (!isBinaryCache(to)) return to
  const [key, ...others] = keyFilesOf(store)
  return withParameters(withoutParameters(to, ['secret-key', 'secret-keys']), {
    compression: 'zstd',
    ...(key === undefined ? {} : { 'secret-key': key }),
    ...(others.length === 0 ? {} : { 'secret-keys': others.join(',') }),
  })
}

/**
 * Nix blames a path for a key that it can't read, and signs with the first key of a file only.
 * @throws {UserError} if a key file of the store can't be read, or holds anything but one key.
 */
export function refuseBadKeys(store: SignedStore): void {
  for (const file of keyFilesOf(store)) {
    if (readSecretKeys(file).length === 1) continue
    throw new UserError(
      `secret-key-file: ${severalKeysProblem(file)}: ` +
        'put each into a file of its own (a binary cache takes more in its URL: ?secret-keys=FILE,FILE)',
    )
  }
}

/** Finds out from what Nix said which parameters of the URL it ignores. */
export function ignoredParameters(store: SignedStore, lines: readonly string[]): string[] {
  const said = lines.map(plain)
  return [...new Set(parametersOf(uploadUrl(store)).keys())].filter((name) =>
    said.some((line) => line.includes('unknown setting') && line.endsWith(name)),
  )
}

/** The files with the keys that sign uploads to a store: its own, and those that the URL of a binary cache names. */
export function keyFilesOf({ to, secretKeyFile }: SignedStore): string[] {
  const own = secretKeyFile === undefined ? [] : [secretKeyFile]
  return [...new Set([...own, ...(isBinaryCache(to) ? keyFilesIn(to) : [])])]
}
