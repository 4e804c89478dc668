/** Nix's base 32 leaves out e, o, t and u (nix: src/libutil/hash.cc). */
const HASH = '[0-9abcdfghijklmnpqrsvwxyz]{32}'
/** Names are at most 211 characters (nix: src/libstore/path.cc). */
const NAME = '[0-9a-zA-Z+\\-._?=]{1,211}'
const BASE_NAME = new RegExp(`^(${HASH})-(${NAME})$`)

/** Only for showing jobs: asking Nix for its store directory would take longer than everything else. */
export const ANY_STORE = ''

/**
 * Splits a store path into hash and name.
 * @param path An absolute path.
 * @param storeDir Nix's store directory, `/nix/store` for most; `ANY_STORE` if it doesn't matter.
 * @returns undefined if `path` isn't a store path lying directly in `storeDir`.
 */
export function splitStorePath(path: string, storeDir: string): { hash: string; name: string } | undefined {
  const slash = path.lastIndexOf('/')
  if (!path.startsWith('/') || (storeDir !== ANY_STORE && path.slice(0, slash) !== storeDir)) return undefined
  const match = BASE_NAME.exec(path.slice(slash + 1))
  const [, hash, name] = match ?? []
  return hash !== undefined && name !== undefined ? { hash, name } : undefined
}

/** The hash part of a path that is known to be a store path; what GC roots and narinfos are named by. */
export function hashOf(storePath: string): string {
  const base = storePath.slice(storePath.lastIndexOf('/') + 1)
  return base.slice(0, 32)
}

/** The name of a store path without its hash: `hello-2.12.1`. */
export function nameOf(storePath: string): string {
  return storePath.slice(storePath.lastIndexOf('/') + 34)
}
