import { verdictOf } from '../nix/blame.ts'
import { NixFailure } from '../nix/failure.ts'
import { NotStartedError } from '../util/run-program.ts'
import { codeOf, UserError, wordsOf } from '../util/user-error.ts'
import { UploadFailure, type Verdict } from '../util/verdict.ts'

/** Why something could not be sent. */
export interface Failure {
  verdict: Verdict
  /** See `UploadFailure`. */
  isOfOneFile: boolean
  /** See `UploadFailure`. */
  isTrouble?: boolean
  /** It is no failure of anything else, but a bug of ours. */
  isBug?: boolean
}

/** 2.8.0, 2.26.3, 2.34.8, of a PUT. */
const REFUSED_FILE = /unable to upload '[^']*': HTTP error [45]\d\d\b/

const SERVER_TROUBLE = /unable to upload '[^']*': HTTP error 5\d\d\b/

/** @returns undefined if it is no failure: it was ended because it is no longer wanted. */
export function failureOf(error: unknown): Failure | undefined {
  if (error instanceof UploadFailure) return error
  if (error instanceof NixFailure) {
    if (error.ended === 'aborted') return undefined
    if (error.ended === 'silent') return atDestination('no sign of life for too long, so it was ended')
    const verdict = verdictOf(error)
    const isOfOneFile = error.messages.some((message) => REFUSED_FILE.test(message))
    const isTrouble = error.messages.some((message) => SERVER_TROUBLE.test(message))
    return { verdict, isOfOneFile: isOfOneFile && verdict.blame === 'destination', isTrouble }
  }
  if (error instanceof Error && error.name === 'AbortError') return undefined
  if (error instanceof NotStartedError) {
    return atDestination(`${error.message}; ${error.remedy}`)
  }
  // No file handles left, no room for temporary files: not the job's fault.
  const isOfTheSystem = codeOf(error)?.startsWith('ERR_') === false
  if (isOfTheSystem || error instanceof UserError) return atDestination(wordsOf(error))
  return atDestination(`nix-upload has a bug, please report it: ${wordsOf(error)}`, true)
}

function atDestination(message: string, isBug = false): Failure {
  return { verdict: { blame: 'destination', permanent: false, message }, isOfOneFile: false, isBug }
}
