import { withoutPassword } from '../config/store-url.ts'
import { type Blame, UploadFailure } from '../util/verdict.ts'

/**
 * Whether a failed request is made again: never, soon, or with fewer requests at a time. `at once`: the first time
 * at once, since servers close connections that look idle; after that with fewer requests.
 */
export type Retry = 'never' | 'at once' | 'soon' | 'slower'

/** What a failed request means. */
export interface Meaning {
  blame?: Exclude<Blame, 'unknown'>
  permanent?: true
  isOfOneFile?: boolean
  isTrouble?: true
  retry?: Retry
  /** What is wrong, and what to check or to do. */
  means: string
}

/** One request failed. */
export class TransportFailure extends UploadFailure {
  override name = 'TransportFailure'
  readonly retry: Retry
  /** How long the server wants to be left alone, in milliseconds, if it said so. */
  readonly retryAfterMs: number | undefined
  /** The server's answer, by its status; undefined if there was none. */
  readonly status: number | undefined

  /** @param said Who said what, in few words: it follows the meaning. */
  constructor(
    meaning: Meaning,
    said: string,
    { retryAfterMs, status }: { retryAfterMs?: number | undefined; status?: number | undefined } = {},
  ) {
    const {
      blame = 'destination',
      permanent = false,
      isOfOneFile,
      isTrouble,
      retry = 'never',
      means,
    } = meaning
    super(
      { blame, permanent, message: sentence(means, said), said: oneLine(said) },
      { isOfOneFile: isOfOneFile ?? false, isTrouble: isTrouble ?? false },
    )
    this.retry = retry
    this.retryAfterMs = retryAfterMs
    this.status = status
  }
}

const MAX_LENGTH = 500

function sentence(means: string, said: string): string {
  const line = oneLine(`${means}; ${said}`)
  return line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH - 1)}…` : line
}

function oneLine(text: string): string {
  return withoutPassword(text)
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\p{Cc}/gu, '')
}
