import { closeSync, openSync, readSync } from 'node:fs'

/** The outputs come first in a derivation's file; the name and the kind of the first are within this. */
const HEAD_BYTES = 512
/** `("NAME","PATH","METHOD","HASH")`: a hash that is not known before the build, so neither is the path. */
const FLOATING = /^Derive\(\[\("[^"]*","","[^"]+",""\)|^DrvWithVersion\([^[]*\[\("[^"]*","","[^"]+",""\)/

/**
 * Tells a content-addressed derivation, whose output paths depend on what was built (Nix's experimental `ca-derivations`).
 * Who has the derivation only finds them through a *realisation*, a small file beside the narinfos of a cache.
 * @param drvPath Of the local store. One that is not there is none.
 * @see nix: src/libstore/derivations.cc, unparse
 */
export function hasFloatingOutputs(drvPath: string): boolean {
  let file: number
  try {
    file = openSync(drvPath, 'r')
  } catch {
    return false
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    return FLOATING.test(head.toString('latin1', 0, readSync(file, head, 0, HEAD_BYTES, 0)))
  } catch {
    return false
  } finally {
    closeSync(file)
  }
}
