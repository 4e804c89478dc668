import type { Verdict } from '../nix/blame.ts'
import type { Unwanted } from './policy.ts'

/** How far an upload is: written by whoever uploads, read by whoever shows it. Bytes as they go over the wire. */
export interface Progress {
  sentBytes: number
  /** What there is to send in all, as far as it is known yet. */
  expectedBytes: number
}

/** The way to a destination. */
export interface Route {
  /** Whether all of these store paths are to go there, and may: false where that takes a closer look. */
  takesAll(paths: readonly string[], signal: AbortSignal): Promise<boolean>
  /** Which of these valid store paths the destination doesn't want, and why. */
  unwanted(paths: readonly string[], signal: AbortSignal): Promise<Unwanted>
  /** Which of these valid store paths must not go there as they are: their content is not what was built. */
  corrupt(paths: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>>
  /** Asks the destination something harmless; throws as `send` does where it doesn't answer. */
  probe(paths: readonly string[], signal: AbortSignal): Promise<unknown>
  /**
   * Uploads store paths; when it returns, the destination has them all.
   * @param drvPaths The derivations that built them, as far as the jobs say.
   * @param progress Kept up to date while it runs, where this way can tell.
   * @throws {NixFailure | SendFailure} where it hasn't.
   */
  send(
    paths: readonly string[],
    drvPaths: readonly string[],
    signal: AbortSignal,
    progress: Progress,
  ): Promise<void>
  /** Ends idle connections, where it keeps any. */
  close?(): void
}

/** A failure of which it is already known whose fault it is. */
export class SendFailure extends Error {
  override name = 'SendFailure'
  readonly verdict: Verdict
  /**
   * A server refused one file. That is the destination's fault where it refuses all (no credentials, no room), and one
   * path's where it takes others (its name, its size, what a scanner thinks of it): one answer doesn't tell.
   */
  readonly isOfOneFile: boolean

  constructor(verdict: Verdict, isOfOneFile = false) {
    super(verdict.message)
    this.verdict = verdict
    this.isOfOneFile = isOfOneFile
  }
}
