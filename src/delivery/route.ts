import type { Verdict } from '../nix/blame.ts'
import type { Unwanted } from './policy.ts'

/** The way to a destination. */
export interface Route {
  /** Which of these valid store paths the destination doesn't want, and why. */
  unwanted(paths: readonly string[], signal: AbortSignal): Promise<Unwanted>
  /** Which of these valid store paths must not go there as they are: their content is not what was built. */
  corrupt(paths: readonly string[], signal: AbortSignal): Promise<ReadonlySet<string>>
  /** Asks the destination something harmless; throws as `send` does where it doesn't answer. */
  probe(paths: readonly string[], signal: AbortSignal): Promise<unknown>
  /**
   * Uploads store paths; when it returns, the destination has them all.
   * @param drvPaths The derivations that built them, as far as the jobs say.
   * @throws {NixFailure | SendFailure} where it hasn't.
   */
  send(paths: readonly string[], drvPaths: readonly string[], signal: AbortSignal): Promise<void>
}

/** A failure of which it is already known whose fault it is. */
export class SendFailure extends Error {
  override name = 'SendFailure'
  readonly verdict: Verdict

  constructor(verdict: Verdict) {
    super(verdict.message)
    this.verdict = verdict
  }
}
