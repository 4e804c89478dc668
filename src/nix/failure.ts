import type { RunResult } from '../util/run-program.ts'
import { messagesOf } from './messages.ts'

/** Why Nix failed, found out without its messages. */
export interface Diagnosis {
  blame: 'job' | 'destination'
  permanent?: true
  /** What is wrong, and what to check or to do; names the path. */
  means: string
  /** The store path it is about, if it is about one. */
  path?: string
}

/** How a run of Nix failed, in its own words, one message a line. */
export class NixFailure extends Error {
  override name = 'NixFailure'
  readonly messages: readonly string[]
  /** Set if we ended it. */
  readonly ended: RunResult['ended']
  readonly diagnosis: Diagnosis | undefined

  constructor(messages: readonly string[], ended: RunResult['ended'], diagnosis?: Diagnosis) {
    super(messages.join('; ') || diagnosis?.means)
    this.messages = messages
    this.ended = ended
    this.diagnosis = diagnosis
  }
}

/** For a `catch`: ignores a failure of Nix, and rethrows any other error. */
export function unlessEnded(error: unknown): void {
  if (!(error instanceof NixFailure) || error.ended !== undefined) throw error
}

/** The result, unless it says that Nix failed. */
export function unlessFailed(result: RunResult): RunResult {
  if (result.exitCode === 0) return result
  throw new NixFailure(messagesOf(result.lines), result.ended)
}

/** The failure if a store path is not valid. */
export function gone(path: string): Diagnosis {
  const means = `${path} is not in the store any more (garbage-collected?): build it again, then requeue the job`
  return ofJob(path, means)
}

/** A permanent failure of every job with this path. */
export function ofJob(path: string, means: string): Diagnosis {
  return { blame: 'job', permanent: true, means, path }
}
