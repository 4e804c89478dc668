import { setTimeout as sleep } from 'node:timers/promises'
import type { SecretKey } from '../nix/secret-key.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { Transport } from '../transport/transport.ts'
import { forEachAtOnce } from '../util/busy-limit.ts'
import { UploadFailure } from '../util/verdict.ts'
import type { Found, KnownPaths } from './known-paths.ts'
import { lackingKeys } from './resign.ts'

/** An error names at most this many paths. */
const NAMED = 5
/** How long to wait before missing files are asked for again. */
export const WAITS_MS = [500, 2_000, 5_000]

/**
 * Finds narinfos whose archive is missing or has another size.
 * @returns Their store paths.
 * @throws {UploadFailure} if the destination can't be asked.
 */
export async function withoutArchive(
  found: Iterable<Found>,
  transport: Transport,
  signal: AbortSignal,
): Promise<Set<string>> {
  const without = new Set<string>()
  await forEachAtOnce([...found], signal, async ({ info, object }, either) => {
    const archive = await transport.head(info.url, either)
    const isWhole =
      archive && (archive.size === undefined || archive.size === (info.fileSize ?? archive.size))
    if (!isWhole) without.add(object.path)
  })
  return without
}

/**
 * Makes sure that the paths that were just uploaded are there, and are correct.
 * @param keys What it must be signed with, if with anything.
 * @throws {UploadFailure} if it isn't.
 */
export async function readBack(
  known: KnownPaths,
  transport: Transport,
  objects: readonly StoreObject[],
  keys: readonly SecretKey[],
  signal: AbortSignal,
): Promise<void> {
  const found = new Map<string, Found>()
  let lost: readonly StoreObject[] = objects
  // A proxy in between may remember for some seconds that the file was missing.
  for (const waitMs of [0, ...WAITS_MS]) {
    if (lost.length === 0) break
    await sleep(waitMs, undefined, { signal })
    const there = await known.ask(lost, () => true, signal)
    const without = await withoutArchive(there.values(), transport, signal)
    for (const [path, one] of there) if (!without.has(path)) found.set(path, one)
    lost = lost.filter(({ path }) => !found.has(path))
  }
  for (const { path } of lost) known.drop(path)
  if (lost.length > 0) {
    const names = lost.slice(0, NAMED).map(({ path }) => path)
    const message = `uploaded, and the server said so, but it does not have ${names.join(' ')}`
    throw new UploadFailure({ blame: 'destination', permanent: false, message })
  }
  const wrong = [...found.values()].filter((one) => lackingKeys(one, keys).length > 0)
  if (wrong.length > 0) {
    throw unsignedStays(
      wrong.map(({ object }) => object.path),
      'what stands there is not what was sent',
    )
  }
}

/** The upload itself went through, so this is no sign of trouble at the destination. */
export function unsignedStays(paths: readonly string[], why: string): UploadFailure {
  const message = `uploaded, but the destination does not take our signature on ${paths.slice(0, NAMED).join(' ')}: ${why}`
  return new UploadFailure({ blame: 'job', permanent: false, message })
}
