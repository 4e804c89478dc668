import { own } from '../../util/own.ts'
import type { Answer } from '../http/answer.ts'
import { retryAfterMs } from '../http/http-failure.ts'
import { type Meaning, TransportFailure } from '../transport-failure.ts'

const REGION: Meaning = {
  means:
    'the bucket is in another region, or behind another endpoint: correct region= or endpoint= in the URL of this destination',
}
const SLOWER: Meaning = {
  retry: 'slower',
  means: 'S3 asks for fewer requests: nothing to do, unless this goes on',
}
const EXPIRED: Meaning = {
  means: 'the AWS session token has run out: renew it, or take credentials that renew themselves',
}
const TROUBLE: Meaning = {
  isOfOneFile: true,
  isTrouble: true,
  retry: 'soon',
  means: 'S3 has an internal problem: check its state, or read its log',
}
const NO_S3: Meaning = {
  means: 'what answers there is no S3: check endpoint= in the URL of this destination',
}
const FULL: Meaning = {
  isOfOneFile: true,
  isTrouble: true,
  means: 'the bucket or its user may hold no more: raise the quota, or make room',
}
const TOO_LARGE: Meaning = {
  blame: 'job',
  permanent: true,
  isOfOneFile: true,
  means:
    'S3 refuses a file of this size: let it go in parts (multipart-upload in the URL), raise the limit there and requeue the job, or exclude such paths',
}

/** What the codes of S3 mean. */
const CODES: Readonly<Record<string, Meaning>> = {
  SignatureDoesNotMatch: {
    means:
      'S3 knows our access key, but the secret key does not fit: correct AWS_SECRET_ACCESS_KEY or ~/.aws/credentials of this user',
  },
  InvalidAccessKeyId: {
    means:
      'S3 does not know our access key: check AWS_ACCESS_KEY_ID or ~/.aws/credentials of this user (deleted, another account, another endpoint?)',
  },
  AccessDenied: {
    isOfOneFile: true,
    means:
      "S3 knows us, but does not let us do this: check the bucket's policy, the rights of our key (s3:PutObject, s3:GetObject, s3:ListBucket), and that the bucket is ours",
  },
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  InvalidToken: { means: 'S3 takes our session token for invalid: check AWS_SESSION_TOKEN' },
  RequestExpired: {
    means: 'the clock of this machine is wrong, so S3 refuses what we sign: set it (timedatectl)',
  },
  NoSuchBucket: {
    means:
      'there is no such bucket: check its name, region and endpoint in the URL of this destination, or create it',
  },
  InvalidBucketName: { means: 'no bucket can have that name: correct the URL of this destination' },
  PermanentRedirect: REGION,
  TemporaryRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  EntityTooLarge: TOO_LARGE,
  MaxMessageLengthExceeded: TOO_LARGE,
  EntityTooSmall: {
    means: 'S3 wants larger parts: raise multipart-chunk-size in the URL of this destination',
  },
  InvalidStorageClass: {
    means: 'S3 has no such storage class: correct storage-class in the URL of this destination',
  },
  QuotaExceeded: FULL,
  XMinioStorageFull: FULL,
  SlowDown: SLOWER,
  ServiceUnavailable: SLOWER,
  Throttling: SLOWER,
  ThrottlingException: SLOWER,
  TooManyRequests: SLOWER,
  TooManyRequestsException: SLOWER,
  RequestLimitExceeded: SLOWER,
  RequestTimeout: { retry: 'soon', means: 'S3 timed out while it waited for data: check the network' },
  OperationAborted: { retry: 'soon', means: 'someone else is changing the same file at S3' },
  InternalError: TROUBLE,
  NoUploadId: NO_S3,
  NoResult: {
    isOfOneFile: true,
    isTrouble: true,
    retry: 'soon',
    means: 'S3 does not say that it made one file of the parts, and there is none: read its log',
  },
  NoSuchUpload: { isOfOneFile: true, means: 'S3 has forgotten an upload in parts: someone ended it' },
}

/** S3 refused a request. */
export class S3Failure extends TransportFailure {
  override name = 'S3Failure'
  /** Such as NoSuchKey. */
  readonly code: string
  readonly headers: Answer['headers']
  readonly #answer: Answer
  readonly #said: string

  constructor(code: string, answer: Answer, said: string, more: Partial<Meaning> = {}) {
    const { status, headers } = answer
    super({ ...meaningOf(code, status, headers), ...more }, said, {
      retryAfterMs: retryAfterMs(headers['retry-after']),
      status,
    })
    this.code = code
    this.headers = headers
    this.#answer = answer
    this.#said = said
  }

  /** The reason of the refusal is known now. */
  toBeMadeAgain(): S3Failure {
    return new S3Failure(this.code, this.#answer, this.#said, { retry: 'soon' })
  }
}

/**
 * What a refusal of S3 means: the status tells, and the code in the body, if there
 * is one, tells more.
 * @param what The request, in few words.
 */
export function s3Failure(answer: Answer, what: string): S3Failure {
  const text = answer.body.subarray(0, 64 * 1024).toString()
  const code = inXml(text, 'Code') ?? ''
  // Some servers give a code without a message.
  const words = inXml(text, 'Message') ?? ''
  const said = `S3 says to ${what}: ${answer.status}${code === '' ? '' : ` ${code}`}${words === '' ? '' : ` (${words})`}`
  return new S3Failure(code, answer, said)
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' }

/** The text of the first element of that name. */
export function inXml(text: string, element: string): string | undefined {
  const [, found] = new RegExp(`<${element}>([^<]*)</${element}>`).exec(text) ?? []
  return found
    ?.replaceAll(/&#(\d+);/g, (whole, digits: string) => characterOf(Number(digits)) ?? whole)
    .replaceAll(/&#x([\da-f]+);/gi, (whole, digits: string) => characterOf(Number(`0x${digits}`)) ?? whole)
    .replaceAll(/&(\w+);/g, (whole, name: string) => own(ENTITIES, name) ?? whole)
}

function characterOf(code: number): string | undefined {
  return code <= 0x10ffff ? String.fromCodePoint(code) : undefined
}

/** Our credentials, or those derived from them, may be replaced while we run. */
export function ofCredentials(code: string): boolean {
  return /Credentials|Signature|AccessKey|Token/.test(code)
}

/** S3 finds that our clock is wrong. */
export function ofClock(code: string): boolean {
  return code === 'RequestTimeTooSkewed' || code === 'RequestExpired'
}

/** How far the clock of S3 is ahead of ours, by its answer. */
export function clockOffsetMs({ date = '' }: Answer['headers']): number | undefined {
  const offset = Date.parse(date) - Date.now()
  return Number.isFinite(offset) ? offset : undefined
}

function meaningOf(code: string, status: number, headers: Record<string, string>): Meaning {
  if (code === 'RequestTimeTooSkewed') return skewed(headers.date)
  const known = CODES[code]
  const region = headers['x-amz-bucket-region']
  if (known === REGION && region) return { means: `${REGION.means} (it is in ${region})` }
  if (known) return known
  if (status === 429 || status === 503) return SLOWER
  if (status === 413) return TOO_LARGE
  if (status === 507) return FULL
  if (status === 301 || status === 307) return REGION
  if (status === 401) return { means: 'S3 does not know us: check the AWS credentials of this user' }
  if (status === 404 || status === 405 || status === 501) {
    return NO_S3
  }
  if (status >= 500) {
    return TROUBLE
  }
  return {
    isOfOneFile: true,
    means: 'S3 refuses: check the bucket, the region, the endpoint and the credentials',
  }
}

function skewed(date = ''): Meaning {
  const seconds = Math.round((Date.now() - Date.parse(date)) / 1000)
  const isKnown = Number.isFinite(seconds)
  const how = isKnown ? `${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} that of S3` : 'wrong'
  return {
    means: `the clock of this machine is ${how}, so S3 refuses what we sign: set it (timedatectl), and that of the server if it is yours`,
  }
}
