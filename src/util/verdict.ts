/** Whose fault a failure is: the job's, the destination's, or unknown. */
export type Blame = 'job' | 'destination' | 'unknown'

/** What a failure means. */
export interface Verdict {
  blame: Blame
  /** Trying again is of no use. Only true of a job's own failure. */
  permanent: boolean
  /** What is wrong and what to do, followed by the original message: one line of at most 500 characters, without passwords. */
  message: string
  /** The message of Nix, the server or the kernel, as it came. */
  said?: string
  /** The store path it is about, if that is known. */
  path?: string
}

/** What else is known of a failure; see `UploadFailure`. */
export interface FailureKind {
  isOfOneFile?: boolean
  isTrouble?: boolean
}

/** An upload failed, and the meaning is known. */
export class UploadFailure extends Error {
  override name = 'UploadFailure'
  readonly verdict: Verdict
  /**
   * A server refused one file. It is the destination's fault if it refuses all files (no credentials, no room), and the path's if
   * it takes others (then the name, the size or a scanner is the reason). One answer doesn't tell which.
   */
  readonly isOfOneFile: boolean
  /** The destination has a problem (no room, an internal error), even if only with this file. This is never a job's fault. */
  readonly isTrouble: boolean

  constructor(verdict: Verdict, { isOfOneFile = false, isTrouble = false }: FailureKind = {}) {
    super(verdict.message)
    this.verdict = verdict
    this.isOfOneFile = isOfOneFile
    this.isTrouble = isTrouble
  }
}
