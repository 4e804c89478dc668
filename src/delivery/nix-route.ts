import type { Destination } from '../config/config.ts'
import { isBinaryCache, schemeOf } from '../config/store-url.ts'
import { copy, copyDerivations, copyLog, missingAt, type RemoteStore, signLocally } from '../nix/copy.ts'
import { NixFailure } from '../nix/failure.ts'
import { invalidPaths, nixVersion } from '../nix/local-store.ts'
import { CopyProgress } from '../nix/progress.ts'
import type { StoreSession } from '../nix/store-session.ts'
import { publicKeyOf, signAt, untrustedAt } from '../nix/verify.ts'
import { failureOf } from './failure.ts'
import { type Progress, type Route, SendFailure } from './route.ts'

/** Of a NAR. */
const SMALL_BYTES = 16 << 10

/** 2.8.0, 2.26.3 */
const NO_S3 = /don't know how to open Nix store (?:with scheme 's3'|'s3:)/

/** Uploads with `nix copy`: everything that Nix has a store URL for. */
export function nixRoute(destination: Destination, localStore: StoreSession): Pick<Route, 'send' | 'probe'> {
  const { to, secretKeyFile, netrcFile, closure, progressTimeoutMs: silenceMs } = destination
  const store: RemoteStore = { to, secretKeyFile, netrcFile, silenceMs }
  const send: Route['send'] = async (paths, drvPaths, signal, progress) => {
    try {
      await upload(paths, drvPaths, signal, progress)
    } catch (error) {
      throw await withVersion(error)
    }
  }
  const upload: Route['send'] = async (paths, drvPaths, signal, progress) => {
    // Nix's own words for a key that it can't read name no culprit, and a job would be blamed for them.
    if (secretKeyFile !== undefined) publicKeyOf(secretKeyFile)
    // A binary cache is signed on the way; other stores keep the signatures that the paths come with.
    if (secretKeyFile !== undefined && !isBinaryCache(to)) {
      await signLocally(secretKeyFile, paths, closure, silenceMs, signal)
    }
    await copy(store, paths, closure, signal, isQuick(to, paths, localStore) ? undefined : follow(progress))
    const derivations = destination.derivations ? await stillValid(drvPaths, signal) : []
    if (derivations.length > 0) await copyDerivations(store, derivations, signal)
    if (destination.verify) await readBack(store, paths, closure, signal)
    if (destination.logs) for (const drvPath of drvPaths) await copyLog(store, drvPath, signal)
  }
  return { send, probe: (paths, signal) => missingAt(store, paths, signal) }
}

/** True where it takes as long to tell how far a copy is as to make it: of small paths to a cache on this machine. */
function isQuick(to: string, paths: readonly string[], store: StoreSession): boolean {
  const isSmall = (path: string) => (store.known(path)?.narSize ?? Number.POSITIVE_INFINITY) <= SMALL_BYTES
  return schemeOf(to) === 'file' && paths.every(isSmall)
}

/** Adds what a copy says of its progress to what went out for the same batch before. */
function follow(progress: Progress): (line: string) => void {
  const before = progress.sentBytes
  const own = new CopyProgress()
  return (line) => {
    if (!own.read(line)) return
    progress.sentBytes = before + own.sentBytes
    progress.expectedBytes = before + own.expectedBytes
  }
}

/** That a Nix can't do S3 is of use to who knows which Nix it is: a service may have another PATH than a person. */
async function withVersion(error: unknown): Promise<unknown> {
  if (!(error instanceof NixFailure)) return error
  if (!error.messages.some((message) => NO_S3.test(message))) return error
  const message =
    `${await nixVersion()}, which this service runs, was built without S3 and can't upload there: use the Nix of nixpkgs ` +
    `or nixos.org, or an http:// or ssh:// way to the bucket; Nix says: ${error.message}`
  return new SendFailure({ blame: 'destination', permanent: false, message })
}

/**
 * Makes sure that the destination has what it was given, with our signature on all of it. What stood there unsigned
 * before is signed in its place.
 */
async function readBack(
  store: RemoteStore,
  paths: readonly string[],
  closure: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { secretKeyFile } = store
  const publicKey = secretKeyFile === undefined ? undefined : publicKeyOf(secretKeyFile)
  const unsigned = await untrustedAt(store, paths, publicKey, closure, signal)
  if (unsigned.length === 0 || secretKeyFile === undefined) return
  await signAt(store, secretKeyFile, unsigned, signal).catch((error: unknown) => {
    const failure = failureOf(error)
    throw failure?.isOfOneFile ? unsignedStays(unsigned, failure.verdict.message) : error
  })
  const left = await untrustedAt(store, paths, publicKey, closure, signal)
  if (left.length > 0) throw unsignedStays(left, 'what stands there does not change')
}

/** The upload itself went through, so this is no sign of trouble at the destination. */
export function unsignedStays(paths: readonly string[], why: string): SendFailure {
  const message = `uploaded, but the destination does not take our signature on ${paths.slice(0, 5).join(' ')}: ${why}`
  return new SendFailure({ blame: 'job', permanent: false, message })
}

/** Nothing protects a derivation from garbage collection once its outputs are built. */
export async function stillValid(drvPaths: readonly string[], signal: AbortSignal): Promise<string[]> {
  if (drvPaths.length === 0) return []
  const invalid = await invalidPaths(drvPaths, signal)
  return drvPaths.filter((path) => !invalid.has(path))
}
