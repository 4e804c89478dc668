import { matchesGlob } from 'node:path'
import type { Destination } from '../config/config.ts'
import { pathSizes } from '../nix/local-store.ts'
import { nameOf } from '../nix/store-path.ts'

/** Why a destination doesn't want some store paths, by path; those it wants are not in it. */
export type Unwanted = ReadonlyMap<string, string>

/** Whether there is a policy at all. */
export function isChoosy({ include, exclude, maxSize }: Destination): boolean {
  return include.length > 0 || exclude.length > 0 || maxSize !== undefined
}

/**
 * Tells which store paths a destination's policy leaves out: by name, or for their size.
 * A path that is left out can still reach the destination in the closure of another.
 * @param paths Valid store paths.
 */
export async function unwanted(
  { include, exclude, maxSize }: Destination,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Unwanted> {
  const reasons = new Map<string, string>()
  for (const path of paths) {
    const name = nameOf(path)
    const excludedBy = exclude.find((glob) => matchesGlob(name, glob))
    if (excludedBy !== undefined) reasons.set(path, `excluded by "${excludedBy}"`)
    else if (include.length > 0 && !include.some((glob) => matchesGlob(name, glob)))
      reasons.set(path, 'not included')
  }
  const wanted = paths.filter((path) => !reasons.has(path))
  if (maxSize === undefined || wanted.length === 0) return reasons
  const sizes = await pathSizes(wanted, signal)
  for (const [at, path] of wanted.entries()) {
    const size = sizes[at] ?? 0
    if (size > maxSize) reasons.set(path, `${size} bytes, larger than max-size`)
  }
  return reasons
}
