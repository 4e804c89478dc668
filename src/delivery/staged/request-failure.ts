import { withoutPassword } from '../../config/store-url.ts'
import type { Blame } from '../../nix/blame.ts'
import { SendFailure } from '../route.ts'

/** Whether a request that failed is made again: not at all, soon, or when there are fewer at a time. */
export type Retry = 'never' | 'soon' | 'slower'

/** What a failed request means. */
export interface Meaning {
  blame?: Exclude<Blame, 'unknown'>
  permanent?: true
  isOfOneFile?: boolean
  retry?: Retry
  /** What is wrong, and what to check or to do. */
  means: string
}

/** One request failed. */
export class RequestFailure extends SendFailure {
  override name = 'RequestFailure'
  readonly retry: Retry
  /** How long the server wants to be left alone, in milliseconds, if it said so. */
  readonly retryAfterMs: number | undefined

  /** @param said Who said what, in few words: it stands behind what is meant. */
  constructor(meaning: Meaning, said: string, retryAfterMs?: number) {
    const { blame = 'destination', permanent = false, isOfOneFile = false, retry = 'never', means } = meaning
    super({ blame, permanent, message: sentence(means, said) }, isOfOneFile)
    this.retry = retry
    this.retryAfterMs = retryAfterMs
  }
}

const MAX_LENGTH = 500

function sentence(means: string, said: string): string {
  const line = withoutPassword(`${means}; ${said}`)
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\p{Cc}/gu, '')
  return line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH - 1)}…` : line
}
