import { partsOf } from '../util/parts.ts'
import { StoreServer } from './store-server.ts'

/** At most this many paths are asked about at once. */
const CHUNK = 1000

/**
 * Tells Nix that store paths are needed, in addition to the links in its `gcroots`: a garbage collection that is running has read
 * the links already, but respects a temporary root (Nix 2.5 and newer).
 * @returns The paths that are not valid, because a collection has already taken them.
 * @throws {NixFailure} if Nix couldn't tell.
 * @throws {NotStartedError} if there is no Nix.
 */
export async function tellCollector(
  paths: readonly string[],
  signal = new AbortController().signal,
): Promise<Set<string>> {
  const gone = new Set(paths)
  const all = [...gone]
  if (all.length === 0) return gone
  const server = new StoreServer(['--write'])
  try {
    for (const part of partsOf(all, CHUNK)) {
      for (const path of await server.hold(part, signal)) gone.delete(path)
    }
  } finally {
    server.end()
  }
  return gone
}
