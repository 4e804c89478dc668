import type { FloatingOutputs } from '../nix/floating-outputs.ts'
import type { Unrealised } from '../nix/realisations.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import type { UploadFailure } from '../util/verdict.ts'

/** What whoever uploads should know of the destination. */
export interface UploadHints {
  /** Somebody queued one of the paths again: nothing that is remembered is relied on. */
  isRequeued: boolean
  /** Something went there before, so it should be there. */
  wasThere: boolean
}

/** Uploads store paths to one destination. */
export interface Uploader {
  /**
   * Uploads store paths.
   * @param paths Valid store paths.
   * @param drvPaths The derivations that built them, as far as the jobs say.
   * @param progress Kept up to date while it runs, where this way can tell.
   * @returns Which paths failed for a reason of their own, and why, where this way can tell: the destination has all others.
   * @throws {NixFailure | UploadFailure} where it doesn't have all of them, and this way can't tell which.
   */
  send(
    paths: readonly string[],
    drvPaths: readonly string[],
    signal: AbortSignal,
    progress: UploadProgress,
    hints: UploadHints,
  ): Promise<ReadonlyMap<string, UploadFailure>>
  /**
   * Uploads the realisations of outputs that `send` has uploaded; missing where this way can't.
   * @returns Which Nix has none of, or can't copy, and why: no use in trying again.
   * @throws As `send` does.
   */
  sendRealisations?(
    outputs: readonly FloatingOutputs[],
    signal: AbortSignal,
    progress: UploadProgress,
  ): Promise<Unrealised>
  /** Asks the destination something harmless; throws as `send` does where it doesn't answer. */
  probe(paths: readonly string[], signal: AbortSignal): Promise<unknown>
  /** Whether `progress` tells of every byte that goes out. */
  countsBytes?: boolean
  /** Ends idle connections, where it keeps any. */
  close?(): void
}
