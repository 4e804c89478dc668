import type { StoreObject } from '../nix/store-server.ts'
import type { StoreSession } from '../nix/store-session.ts'
import { UploadFailure } from '../util/verdict.ts'

/**
 * The meaning of a failure to pack a path. The store may have changed since it was asked: then the path is not damaged, but was
 * collected as garbage, and perhaps built again with other content.
 * @param object The path, as the store had it before.
 * @returns A failure that is worth another attempt if the store has the path no more, or with another hash; otherwise `error`.
 */
export async function unlessChanged(
  error: unknown,
  object: StoreObject,
  store: StoreSession,
  signal: AbortSignal,
): Promise<unknown> {
  const isDamaged = error instanceof UploadFailure && error.verdict.blame === 'job' && error.verdict.permanent
  if (!isDamaged || error.verdict.path !== object.path || signal.aborted) return error
  const { path, narHash } = object
  const [now] = await store.anew([path], signal)
  if (now?.narHash === narHash) return error
  const what = now ? 'built again with other content' : 'garbage-collected'
  const message = `${path} was ${what} while it was uploaded: what the store has now is looked up for the next attempt`
  return new UploadFailure({ blame: 'job', permanent: false, message, path })
}
