/** Whose fault a failure is: what is uploaded, where it is uploaded to, or nobody can tell. */
export type Blame = 'job' | 'destination' | 'unknown'

/** What a failure means. */
export interface Verdict {
  blame: Blame
  /** No use in trying again: it will not get better by itself. Only ever true of a job's own failure. */
  permanent: boolean
  /** What is wrong and what to do, in words, with what was said behind: one line, no passwords, 500 characters. */
  message: string
  /** What Nix, the server or the kernel said, without what we make of it. */
  said?: string
  /** The store path it is about, where that is known. */
  path?: string
}

/** What else is known of a failure; see `UploadFailure`. */
export interface FailureKind {
  isOfOneFile?: boolean
  isTrouble?: boolean
}

/** An upload failed, and it is known what that means. */
export class UploadFailure extends Error {
  override name = 'UploadFailure'
  readonly verdict: Verdict
  /**
   * A server refused one file. That is the destination's fault where it refuses all (no credentials, no room), and one
   * path's where it takes others (its name, its size, what a scanner thinks of it): one answer doesn't tell.
   */
  readonly isOfOneFile: boolean
  /** The destination has trouble of its own (no room, an error inside), be it with one file: that is never a job's fault. */
  readonly isTrouble: boolean

  constructor(verdict: Verdict, { isOfOneFile = false, isTrouble = false }: FailureKind = {}) {
    super(verdict.message)
    this.verdict = verdict
    this.isOfOneFile = isOfOneFile
    this.isTrouble = isTrouble
  }
}
