import { matchesGlob } from 'node:path'
import type { Destination } from '../config/config.ts'
import { nameOf } from '../nix/store-path.ts'
import type { StoreObject } from '../nix/store-server.ts'

/** By path, why a destination doesn't want it; wanted paths are not in it. */
export type Unwanted = ReadonlyMap<string, string>

/**
 * Tells which store paths a destination's policy leaves out: by name, or for their size.
 * A path that is left out can still reach the destination in the closure of another.
 */
export function unwanted(
  { include, exclude, maxSize }: Destination,
  objects: readonly StoreObject[],
): Unwanted {
  const reasons = new Map<string, string>()
  for (const { path, narSize } of objects) {
    const name = nameOf(path)
    const excludedBy = exclude.find((glob) => matchesGlob(name, glob))
    if (excludedBy !== undefined) reasons.set(path, `excluded by "${excludedBy}"`)
    else if (include.length > 0 && !include.some((glob) => matchesGlob(name, glob)))
      reasons.set(path, 'not included')
    else if (maxSize !== undefined && narSize > maxSize)
      reasons.set(path, `${narSize} bytes, larger than max-size`)
  }
  return reasons
}
