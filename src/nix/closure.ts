import { isObject } from '../config/is-object.ts'
import { NixFailure } from './failure.ts'
import { queryOptions } from './local-store.ts'
import { narHashOf } from './nar-hash.ts'
import { pathInfoJson } from './path-info.ts'

/** A valid path of the local store, as binary caches know it. */
export interface StoreObject {
  path: string
  /** As `narHashOf` has it: what it was registered with. */
  narHash: string
  /** Bytes, uncompressed. */
  narSize: number
  /** Store paths; the path itself may be one of them. */
  references: readonly string[]
  /** `KEY-NAME:BASE64`, each: those it came with, or got here. */
  signatures: readonly string[]
  /** True where its name is made of its content, so that nobody has to sign it. */
  isContentAddressed: boolean
}

/**
 * Store paths and all that they depend on, references before what refers to them.
 * @param paths Valid store paths; a derivation stands for itself, with what it was made from.
 * @throws {NixFailure} where one isn't valid.
 */
export async function closureOf(paths: readonly string[], signal: AbortSignal): Promise<StoreObject[]> {
  const isDerivation = (path: string) => path.endsWith('.drv')
  const [derivations, others] = [paths.filter(isDerivation), paths.filter((path) => !isDerivation(path))]
  const objects = new Map<string, StoreObject>()
  // Nix 2.8 takes a derivation for its outputs without that flag, and anything else for its derivation with it.
  for (const [flags, some] of [[['--derivation'], derivations] as const, [[], others] as const]) {
    if (some.length === 0) continue
    for (const [path, info] of await pathInfoJson([...flags, '--recursive', ...some], queryOptions(signal))) {
      const object = objectOf(path, info)
      objects.set(object.path, object)
    }
  }
  return referencesFirst(objects)
}

function objectOf(path: unknown, info: unknown): StoreObject {
  const { narHash, narSize, references, signatures, ca } = isObject(info) ? info : {}
  const hash = typeof narHash === 'string' ? narHashOf(narHash) : undefined
  if (typeof path !== 'string' || hash === undefined || typeof narSize !== 'number') {
    throw new NixFailure([`path '${String(path)}' is not valid`], undefined)
  }
  return {
    path,
    narHash: hash,
    narSize,
    references: stringsOf(references),
    signatures: stringsOf(signatures),
    isContentAddressed: typeof ca === 'string' && ca !== '',
  }
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

/** Without recursion, as a chain of references may be longer than a stack is deep. */
function referencesFirst(objects: ReadonlyMap<string, StoreObject>): StoreObject[] {
  const ordered = new Set<StoreObject>()
  const entered = new Set<StoreObject>()
  for (const root of objects.values()) {
    const stack = [root]
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      if (ordered.has(top) || entered.has(top)) {
        ordered.add(top)
        stack.pop()
        continue
      }
      entered.add(top)
      for (const path of top.references) {
        const reference = objects.get(path)
        if (reference && !entered.has(reference)) stack.push(reference)
      }
    }
  }
  return [...ordered]
}
