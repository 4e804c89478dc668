import { closeSync, openSync, readSync } from 'node:fs'
import { nameOf } from './store-path.ts'

/** The outputs come first in a derivation's file; this much contains the name and kind of the first one. */
const HEAD_BYTES = 512
/** `("NAME","PATH","METHOD","HASH")`: the hash is not known before the build, so the path isn't either. */
const FLOATING = /^Derive\(\[\("[^"]*","","[^"]+",""\)|^DrvWithVersion\([^[]*\[\("[^"]*","","[^"]+",""\)/

/**
 * Outputs of a content-addressed derivation, whose paths depend on what was built (Nix's experimental `ca-derivations`).
 * Somebody who has only the derivation finds them by their *realisations*, small files beside the narinfos of a cache.
 */
export interface FloatingOutputs {
  drvPath: string
  /** Store paths by the names of the outputs; not necessarily of all that the derivation has. */
  paths: ReadonlyMap<string, string>
}

/**
 * Tells which store paths are floating outputs of a derivation.
 * @param drvPath Of the local store. One that is not there has none.
 * @param paths Those that are its outputs are found by their names.
 * @returns undefined if none is.
 */
export function floatingOutputsOf(drvPath: string, paths: readonly string[]): FloatingOutputs | undefined {
  const drvName = nameOf(drvPath).replace(/\.drv$/, '')
  const outputs = paths.flatMap((path): [string, string][] => {
    const name = nameOf(path)
    if (name === drvName) return [['out', path]]
    return name.startsWith(`${drvName}-`) ? [[name.slice(drvName.length + 1), path]] : []
  })
  if (outputs.length === 0 || !isFloating(drvPath)) return undefined
  return { drvPath, paths: new Map(outputs) }
}

/** nix: src/libstore/derivations.cc, `unparse` */
function isFloating(drvPath: string): boolean {
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
