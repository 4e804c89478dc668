import { partsOf } from '../util/parts.ts'
import type { StoreSession } from './store-session.ts'

/** The references of each store path; a path comes after its references. */
export type Closure = ReadonlyMap<string, readonly string[]>

/** How many paths are asked for at a time. All that is known of a path takes several times as much memory as its references. */
export const ASKED_AT_ONCE = 1000

/**
 * Store paths and all their dependencies.
 * @param paths Valid store paths; a derivation stands for itself, with what it was made from.
 * @throws {NixFailure} if one isn't valid.
 */
export async function closureOf(
  store: StoreSession,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Closure> {
  const closure = new Map<string, readonly string[]>()
  const texts = new Map<string, string>()
  /** A path and all references to it share one string: these strings take most of the memory. */
  const once = (path: string) => {
    const first = texts.get(path)
    if (first === undefined) texts.set(path, path)
    return first ?? path
  }
  for (let wanted = [...new Set(paths)]; wanted.length > 0; ) {
    const next = new Set<string>()
    for (const part of partsOf(wanted, ASKED_AT_ONCE)) {
      for (const { path, references } of await store.valid(part, signal)) {
        closure.set(once(path), references.map(once))
        for (const reference of references) next.add(once(reference))
      }
    }
    wanted = [...next].filter((path) => !closure.has(path))
  }
  return referencesFirst(closure)
}

/** Without recursion, since a chain of references may be deeper than the stack. */
function referencesFirst(closure: Closure): Closure {
  const ordered = new Map<string, readonly string[]>()
  const entered = new Set<string>()
  for (const root of closure.keys()) {
    const stack = [root]
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const references = closure.get(top) ?? []
      if (ordered.has(top) || entered.has(top)) {
        ordered.set(top, references)
        stack.pop()
        continue
      }
      entered.add(top)
      for (const reference of references) if (!entered.has(reference)) stack.push(reference)
    }
  }
  return ordered
}
