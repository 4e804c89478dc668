import { isObject } from '../../util/is-object.ts'
import { userName } from '../../util/user-name.ts'
import { retryAfterMs } from './http-failure.ts'
import { networkFailure } from './network-failure.ts'
import { type Meaning, RequestFailure } from './request-failure.ts'

const REGION: Meaning = {
  means:
    'the bucket is in another region, or behind another endpoint: correct region= or endpoint= in the URL of this destination',
}
const SLOWER: Meaning = {
  retry: 'slower',
  means: 'S3 asks for fewer requests; nothing to do unless it stays so',
}
const EXPIRED: Meaning = {
  means:
    'the AWS session token has run out: renew it, or give this service credentials that renew themselves',
}
const FULL: Meaning = { means: 'the bucket or its user may hold no more: raise the quota, or make room' }
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
      'S3 knows our access key, but the secret key does not fit: correct AWS_SECRET_ACCESS_KEY or ~/.aws/credentials of the user of this service',
  },
  InvalidAccessKeyId: {
    means:
      'S3 does not know our access key: check AWS_ACCESS_KEY_ID or ~/.aws/credentials of the user of this service (deleted, another account, another endpoint?)',
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
  RequestTimeout: { retry: 'soon', means: 'S3 waited too long for us: check the network' },
  OperationAborted: { retry: 'soon', means: 'someone else is changing the same file at S3' },
  NoSuchUpload: { isOfOneFile: true, means: 'S3 has forgotten an upload in parts: someone ended it' },
}

/** What it means that a call of the AWS SDK failed; what is no failure of S3 or of the network stays what it is. */
export function s3Failure(error: unknown, what: string): unknown {
  if (error instanceof RequestFailure || !(error instanceof Error)) return error
  const { status, headers } = answerOf(error)
  if (status === undefined) return withoutAnswer(error, what)
  const code = error.name
  // Some servers give a code and no words for it.
  const words = ['', code, 'UnknownError'].includes(error.message) ? '' : ` (${error.message})`
  const said = `S3 says to ${what}: ${status} ${code}${words}`
  return new RequestFailure(meaningOf(code, status, headers), said, retryAfterMs(headers['retry-after']))
}

/** The code of an error that S3 answered with, such as NoSuchKey. */
export function codeOfS3(error: unknown): string | undefined {
  return error instanceof Error && answerOf(error).status !== undefined ? error.name : undefined
}

function answerOf(error: unknown): { status: number | undefined; headers: Record<string, string> } {
  if (!isObject(error)) return { status: undefined, headers: {} }
  const { $metadata: metadata, $response: response } = error
  const headers = isObject(response) && isObject(response.headers) ? response.headers : {}
  return {
    status:
      isObject(metadata) && typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
  }
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
  if (status === 401)
    return { means: 'S3 does not know us: check the AWS credentials of the user of this service' }
  if (status === 404 || status === 405 || status === 501) {
    return { means: 'what answers there is no S3: check endpoint= in the URL of this destination' }
  }
  if (status >= 500) {
    return {
      isOfOneFile: true,
      retry: 'soon',
      means: 'S3 has trouble of its own: look at its state, or into its log',
    }
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

function withoutAnswer(error: Error, what: string): unknown {
  if (/CredentialsProvider|TokenProvider|ProcessCredential/.test(error.name)) return noCredentials(error)
  return networkFailure(error, what) ?? error
}

function noCredentials(error: Error): RequestFailure {
  const home = process.env.HOME ?? '~'
  const means =
    `no AWS credentials for the user ${userName()} of this service (the shell of root doesn't count): set ` +
    `AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE in its unit, or write ${home}/.aws/credentials, or give ` +
    'the machine a role'
  return new RequestFailure({ means }, `the AWS SDK says: ${error.message}`)
}
