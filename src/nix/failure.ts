import type { RunResult } from '../util/run-program.ts'
import { messagesOf } from './messages.ts'

/** How a run of Nix failed, in its own words, one message a line. */
export class NixFailure extends Error {
  override name = 'NixFailure'
  readonly messages: readonly string[]
  /** Set where it was ended from here. */
  readonly ended: RunResult['ended']

  constructor(messages: readonly string[], ended: RunResult['ended']) {
    super(messages.join('; '))
    this.messages = messages
    this.ended = ended
  }
}

/** For a `catch`: passes over what Nix failed at by itself, and throws anything else on. */
export function unlessEnded(error: unknown): void {
  if (!(error instanceof NixFailure) || error.ended !== undefined) throw error
}

/** The result, unless it says that Nix failed. */
export function unlessFailed(result: RunResult): RunResult {
  if (result.exitCode === 0) return result
  throw new NixFailure(messagesOf(result.lines), result.ended)
}
