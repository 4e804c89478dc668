import type { FloatingOutputs } from '../nix/floating-outputs.ts'
import type { Unrealised } from '../nix/realisations.ts'
import type { UploadProgress } from '../util/upload-progress.ts'
import type { UploadFailure } from '../util/verdict.ts'

/** What an uploader should know about the destination. */
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
   * @param drvPaths The derivations that built them, as far as the jobs or the store say.
   * @param progress Kept up to date while it runs, where this way can tell.
   * @returns The paths that failed by their own fault, and why, if this uploader can tell: the destination has all others.
   * @throws {NixFailure | UploadFailure} if the destination lacks some of them, and this uploader can't tell which.
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
   * @returns The paths whose realisations Nix doesn't have or can't copy, and why: trying again is of no use.
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
  /** Ends idle connections, if it keeps any. */
  close?(): void
}
