import { NixFailure } from './failure.ts'
import type { StoreObject } from './store-server.ts'
import type { StoreSession } from './store-session.ts'

/**
 * Store paths and all their dependencies, references before their referrers.
 * @param paths Valid store paths; a derivation stands for itself, with what it was made from.
 * @throws {NixFailure} if one isn't valid.
 */
export async function closureOf(
  store: StoreSession,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<StoreObject[]> {
  const objects = new Map<string, StoreObject>()
  for (let wanted = new Set(paths); wanted.size > 0; ) {
    const found = await store.objects([...wanted], signal)
    for (const object of found) objects.set(object.path, object)
    for (const path of wanted)
      if (!objects.has(path)) throw new NixFailure([`path '${path}' is not valid`], undefined)
    wanted = new Set(found.flatMap(({ references }) => references.filter((path) => !objects.has(path))))
  }
  return referencesFirst(objects)
}

/** Without recursion, since a chain of references may be deeper than the stack. */
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
