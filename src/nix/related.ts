import { basename } from 'node:path'
import { referenceGraph } from './local-store.ts'

/**
 * Tells which store paths depend on one of some others, or are what one of these depends on. Only what they depend on
 * is looked at: what depends on a libc is all there is.
 * @param others Valid store paths.
 * @param paths Valid store paths.
 * @returns Those of `paths`.
 * @throws {NixFailure} where one isn't valid.
 */
export async function relatedTo(
  others: readonly string[],
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Set<string>> {
  const references = await referenceGraph([...others, ...paths], signal)
  const below = Map.groupBy(references, ({ from }) => from)
  const above = Map.groupBy(references, ({ to }) => to)
  const names = others.map((path) => basename(path))
  const related = new Set([
    ...reach(names, (name) => (below.get(name) ?? []).map(({ to }) => to)),
    ...reach(names, (name) => (above.get(name) ?? []).map(({ from }) => from)),
  ])
  return new Set(paths.filter((path) => related.has(basename(path))))
}

/** All that can be come to from some names, themselves included. */
function reach(from: readonly string[], next: (name: string) => readonly string[]): Set<string> {
  const reached = new Set(from)
  for (const name of reached) for (const one of next(name)) reached.add(one)
  return reached
}
