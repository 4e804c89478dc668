import { closureOf } from './closure.ts'
import type { StoreSession } from './store-session.ts'

/**
 * Tells which store paths depend on one of some others, or are a dependency of one. Only dependencies are followed:
 * following referrers would lead from a libc to everything.
 * @param others Valid store paths.
 * @param paths Valid store paths.
 * @returns Those of `paths`.
 * @throws {NixFailure} if one isn't valid.
 */
export async function relatedTo(
  store: StoreSession,
  others: readonly string[],
  paths: readonly string[],
  signal: AbortSignal,
): Promise<Set<string>> {
  const below = await closureOf(store, [...others, ...paths], signal)
  const above = new Map<string, string[]>([...below.keys()].map((path) => [path, []]))
  for (const [path, references] of below) for (const one of references) above.get(one)?.push(path)
  const related = new Set([
    ...reach(others, (path) => below.get(path) ?? []),
    ...reach(others, (path) => above.get(path) ?? []),
  ])
  return new Set(paths.filter((path) => related.has(path)))
}

/** All paths that can be reached from some paths, themselves included. */
function reach(from: readonly string[], next: (path: string) => readonly string[]): Set<string> {
  const reached = new Set(from)
  for (const path of reached) for (const one of next(path)) reached.add(one)
  return reached
}
