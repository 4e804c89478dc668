import { setImmediate as nextTurn } from 'node:timers/promises'
import { NixFailure, unlessEnded } from './failure.ts'
import { verifyPaths } from './local-store.ts'
import { narHashAt } from './nar.ts'
import type { StoreObject } from './store-server.ts'
import type { StoreSession } from './store-session.ts'

/** Of a path as small as that, its content is read here: it takes a hundredth of the time that Nix takes to start. */
const SMALL_BYTES = 64 << 10
/** After so long, the event loop gets its turn: some hundred paths, or one that a slow disk has to be asked for. */
const TURN_MS = 4

/**
 * Whether store paths are all valid and have the content that they were registered with.
 * @returns False also where that can't be told here: a closer look tells why.
 * @throws {NixFailure} where Nix was ended before it could tell.
 */
export async function areWhole(
  store: StoreSession,
  paths: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  const objects = await store.objects(paths, signal).catch(unlessEnded)
  if (!objects || objects.length < new Set(paths).size) return false
  const isSmall = ({ narSize }: StoreObject) => narSize <= SMALL_BYTES
  let since = performance.now()
  for (const object of objects.filter(isSmall)) {
    if (performance.now() - since > TURN_MS) {
      await nextTurn()
      since = performance.now()
    }
    if (signal.aborted) throw new NixFailure([], 'aborted')
    if (!isWhole(object)) return false
  }
  const large = objects.filter((object) => !isSmall(object)).map(({ path }) => path)
  return large.length === 0 || (await verifyPaths(large, signal)).exitCode === 0
}

function isWhole({ path, narSize, narHash }: StoreObject): boolean {
  try {
    return narHashAt(path, narSize) === narHash
  } catch {
    return false
  }
}
