import { unlessChanged } from '../cache/changed-meanwhile.ts'
import type { Packer } from '../cache/nar/packer.ts'
import { unsignedStays } from '../cache/read-back.ts'
import { UNCOMPRESSED } from '../config/compression.ts'
import type { Destination } from '../config/config.ts'
import { isBinaryCache, schemeOf } from '../config/store-url.ts'
import {
  copy,
  copyDerivations,
  copyLog,
  missingAt,
  type RemoteStore,
  refuseIgnoredParameters,
  signLocally,
} from '../nix/copy.ts'
import { NixFailure } from '../nix/failure.ts'
import type { FloatingOutputs } from '../nix/floating-outputs.ts'
import { invalidPaths } from '../nix/local-store.ts'
import { CopyProgress } from '../nix/progress.ts'
import { copyRealisations, type Unrealised } from '../nix/realisations.ts'
import { publicKeyOf } from '../nix/secret-key.ts'
import type { StoreObject } from '../nix/store-server.ts'
import type { StoreSession } from '../nix/store-session.ts'
import { keyFilesOf } from '../nix/upload-url.ts'
import { signAt, untrustedAt } from '../nix/verify.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import { UploadFailure } from '../util/verdict.ts'
import { failureOf } from './failure.ts'
import type { Uploader } from './uploader.ts'

/** Uploads with `nix copy`, to everything that Nix has a store URL for. */
export function nixUploader(
  destination: Destination,
  { store: localStore, packer }: { store: StoreSession; packer: Packer },
): Uploader {
  const { to, secretKeyFile, netrcFile, closure, progressTimeoutMs: silenceMs } = destination
  const store: RemoteStore = { to, secretKeyFile, netrcFile, silenceMs }
  /** Whether Nix knows the parameters of the URL; asked once. */
  let areKnown = !isBinaryCache(to) || !to.includes('?')
  const send: Uploader['send'] = async (paths, drvPaths, signal, progress) => {
    const damaged = isBinaryCache(to) ? await damagedAmong(paths, localStore, packer, signal) : new Map()
    const whole = paths.filter((path) => !damaged.has(path))
    if (whole.length > 0) await upload(whole, drvPaths, signal, progress)
    return damaged
  }
  const upload = async (
    paths: readonly string[],
    drvPaths: readonly string[],
    signal: AbortSignal,
    progress: UploadProgress,
  ) => {
    // A binary cache is signed on the way; other stores keep the signatures that the paths come with.
    if (secretKeyFile !== undefined && !isBinaryCache(to)) {
      await signLocally(secretKeyFile, paths, closure, silenceMs, signal)
    }
    const [first] = paths
    if (!areKnown && first !== undefined) await refuseIgnoredParameters(store, first, signal)
    areKnown = true
    await copy(store, paths, closure, signal, follow(progress))
    const derivations = destination.derivations ? await stillValid(drvPaths, signal) : []
    if (derivations.length > 0) await copyDerivations(store, derivations, signal)
    if (destination.verify) await readBack(store, paths, closure, signal)
    if (destination.logs) for (const drvPath of drvPaths) await copyLog(store, drvPath, signal)
  }
  const probe: Uploader['probe'] = (paths, signal) => missingAt(store, paths, signal)
  if (schemeOf(to) === 'ssh') return { send, probe }
  return { send, probe, sendRealisations: (outputs, signal) => sendRealisations(store, outputs, signal) }
}

/** The paths went through, so a destination that answers but refuses this can't do it, and is not down. */
async function sendRealisations(
  store: RemoteStore,
  outputs: readonly FloatingOutputs[],
  signal: AbortSignal,
): Promise<Unrealised> {
  try {
    return await copyRealisations(store, outputs, signal)
  } catch (error) {
    const failure = error instanceof NixFailure && error.ended === undefined ? failureOf(error) : undefined
    if (!failure) throw error
    const paths = outputs.flatMap((one) => [...one.paths.values()])
    await missingAt(store, paths, signal)
    return new Map(outputs.map(({ drvPath }) => [drvPath, failure.verdict.message]))
  }
}

/** Other stores check the content themselves when they take a path in; `nix copy` to a binary cache doesn't. */
async function damagedAmong(
  paths: readonly string[],
  store: StoreSession,
  packer: Packer,
  signal: AbortSignal,
): Promise<Map<string, UploadFailure>> {
  const damaged = new Map<string, UploadFailure>()
  const check = async (object: StoreObject) => {
    const { path, narHash, narSize } = object
    const call = {
      path,
      narHash,
      narSize,
      compression: UNCOMPRESSED,
      wantsListing: false,
      to: 'nowhere',
    } as const
    await packer.pack(call, signal).catch(async (caught: unknown) => {
      const error = await unlessChanged(caught, object, store, signal)
      if (!(error instanceof UploadFailure) || error.verdict.blame !== 'job') throw error
      damaged.set(path, error)
    })
  }
  const waiting = (await store.objects(paths, signal)).values()
  const checkInTurn = async () => {
    for (const object of waiting) await check(object)
  }
  await Promise.all(Array.from({ length: 2 * packer.jobs }, checkInTurn))
  return damaged
}

/** Adds the progress of a copy to that of earlier copies for the same batch. */
function follow(progress: UploadProgress): (line: string) => void {
  const before = progress.sentBytes
  const own = new CopyProgress()
  return (line) => {
    if (!own.read(line)) return
    progress.sentBytes = before + own.sentBytes
    progress.expectedBytes = before + own.expectedBytes
  }
}

/**
 * Makes sure that the destination has all paths, with our signature on each. Paths that were there unsigned are
 * signed there.
 */
async function readBack(
  store: RemoteStore,
  paths: readonly string[],
  closure: boolean,
  signal: AbortSignal,
): Promise<void> {
  const [secretKeyFile] = keyFilesOf(store)
  const publicKey = secretKeyFile === undefined ? undefined : publicKeyOf(secretKeyFile)
  const unsigned = await untrustedAt(store, paths, publicKey, closure, signal)
  if (unsigned.length === 0 || secretKeyFile === undefined) return
  if (schemeOf(store.to) === 'ssh')
    throw unsignedStays(unsigned, 'ssh:// takes none later on, ssh-ng:// does')
  await signAt(store, secretKeyFile, unsigned, signal).catch((error: unknown) => {
    const failure = failureOf(error)
    throw failure?.isOfOneFile ? unsignedStays(unsigned, failure.verdict.message) : error
  })
  const left = await untrustedAt(store, paths, publicKey, closure, signal)
  if (left.length > 0) throw unsignedStays(left, 'what stands there does not change')
}

/** Nothing protects a derivation from garbage collection once its outputs are built. */
export async function stillValid(drvPaths: readonly string[], signal: AbortSignal): Promise<string[]> {
  if (drvPaths.length === 0) return []
  const invalid = await invalidPaths(drvPaths, signal)
  return drvPaths.filter((path) => !invalid.has(path))
}
