import { isSignedWith, narinfoName, parseNarInfo } from '../../cache/narinfo.ts'
import type { Destination } from '../../config/config.ts'
import { missingAt } from '../../nix/copy.ts'
import { networkSettings } from '../../nix/network-settings.ts'
import { unsignedAt } from '../../nix/path-info.ts'
import type { StoreObject } from '../../nix/store-server.ts'
import { untrustedAt } from '../../nix/verify.ts'
import { createTransport } from '../../transport/create-transport.ts'
import { PATIENCE_MS } from './network-cache.ts'

/** Which of some paths a destination has. */
export interface Found {
  /** Paths that are missing. */
  gone: string[]
  /** Paths without a signature of the key, or without any signature if there is no key. */
  unsigned: string[]
}

/** Asks a destination for store paths. Content-addressed paths need no signature. */
export async function lookUp(
  destination: Destination,
  publicKey: string | undefined,
  objects: readonly StoreObject[],
): Promise<Found> {
  const { to, netrcFile, via } = destination
  const signal = AbortSignal.timeout(3 * PATIENCE_MS)
  if (via === 'writer') return await readNarInfos(destination, publicKey, objects, signal)
  const store = { to, netrcFile, silenceMs: PATIENCE_MS }
  const paths = objects.map(({ path }) => path)
  const missing = await missingAt(store, paths, signal)
  const there = paths.filter((path) => !missing.has(path))
  if (there.length === 0) return { gone: paths, unsigned: [] }
  const bare =
    publicKey === undefined
      ? await unsignedAt(store, there, signal)
      : await untrustedAt(store, there, publicKey, false, signal)
  const named = objects.filter(({ contentAddress }) => contentAddress !== '').map(({ path }) => path)
  return { gone: [...missing], unsigned: bare.filter((path) => !named.includes(path)) }
}

async function readNarInfos(
  { to, netrcFile }: Destination,
  publicKey: string | undefined,
  objects: readonly StoreObject[],
  signal: AbortSignal,
): Promise<Found> {
  const found: Found = { gone: [], unsigned: [] }
  // The check of the destination reports whether it can be read.
  const transport = createTransport({
    to,
    netrcFile,
    network: networkSettings,
    progressTimeoutMs: PATIENCE_MS,
    onWarning: () => {},
  })
  try {
    for (const { path, contentAddress } of objects) {
      const info = parseNarInfo((await transport.get(narinfoName(path), signal)) ?? '')
      if (!info) found.gone.push(path)
      else if (contentAddress !== '') continue
      else if (publicKey === undefined ? info.signatures.length === 0 : !isSignedWith(info, publicKey)) {
        found.unsigned.push(path)
      }
    }
    return found
  } finally {
    transport.close()
  }
}
