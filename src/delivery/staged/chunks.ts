import type { StoreObject } from '../../nix/store-server.ts'

/** Nix gets their paths as arguments, of which the kernel takes so many. */
const MOST_PATHS = 2000

/**
 * Cuts a list so that what is staged at a time fits, in its order.
 * @param maxBytes Of NARs, uncompressed, since nobody knows yet how small they get. One that is larger goes alone.
 */
export function* chunksOf(objects: readonly StoreObject[], maxBytes: number): Generator<StoreObject[]> {
  let chunk: StoreObject[] = []
  let bytes = 0
  for (const object of objects) {
    if (chunk.length > 0 && (bytes + object.narSize > maxBytes || chunk.length === MOST_PATHS)) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(object)
    bytes += object.narSize
  }
  if (chunk.length > 0) yield chunk
}
