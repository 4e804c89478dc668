import { flagOf } from '../../config/store-flags.ts'
import { parametersOf } from '../../config/store-parameters.ts'
import { parseSize } from '../../util/size.ts'
import { UserError } from '../../util/user-error.ts'

/** A place in S3, and how to upload there. */
export interface S3Place {
  bucket: string
  /** Before each name: empty, or with a slash at its end. */
  prefix: string
  region: string
  /** The URL that requests go to, without the bucket. */
  endpoint: string
  profile: string | undefined
  /** Whether the bucket is in the path rather than in the host name. */
  isPathStyle: boolean
  storageClass: string | undefined
  /** Files up to this many bytes are sent as a whole; larger ones in parts. */
  wholeUpToBytes: number
  partBytes: number
}

const MIB = 1024 * 1024
/** What S3 takes. */
const LEAST_PART = 5 * MIB
const MOST_PART = 5 * 1024 * MIB
/** Two or three of them are in memory for each file that is under way. */
const DEFAULT_PART = 5 * MIB

/**
 * Reads a Nix store URL, `s3://bucket/prefix?region=…`, with Nix's settings for these stores. Uploading in parts, which is off by
 * default in Nix, is on by default here: without it no file may be over 5 GiB.
 * @throws {UserError} if it makes no sense.
 */
export function parseS3Url(to: string): S3Place {
  const url = new URL(to)
  const parameters = parametersOf(to)
  const endpoint = endpointOf(parameters)
  const region = parameters.get('region') ?? 'us-east-1'
  const bucket = url.hostname
  const prefix = decodeURIComponent(url.pathname.replaceAll(/^\/|\/+$/g, ''))
  const isInParts = flagOf(parameters, 'multipart-upload') ?? true
  const partBytes = sizeOf(parameters, 'multipart-chunk-size', DEFAULT_PART)
  if (partBytes < LEAST_PART || partBytes > MOST_PART) {
    throw new UserError('multipart-chunk-size in the URL of a destination must be from 5 MiB to 5 GiB')
  }
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    region,
    endpoint: endpoint ?? amazon(region, schemeFrom(parameters)),
    profile: parameters.get('profile') || undefined,
    isPathStyle: isPathStyle(parameters, endpoint, bucket),
    storageClass: storageClassOf(parameters),
    wholeUpToBytes: isInParts
      ? sizeOf(parameters, 'multipart-threshold', partBytes)
      : Number.POSITIVE_INFINITY,
    partBytes,
  }
}

/** Where an object is. */
export function objectUrl(
  { endpoint, bucket, prefix, isPathStyle }: S3Place,
  name: string,
  query: Readonly<Record<string, string>> = {},
): URL {
  const url = new URL(endpoint)
  if (!isPathStyle) url.hostname = `${bucket}.${url.hostname}`
  const path = [...(isPathStyle ? [bucket] : []), ...(prefix + name).split('/')]
  url.pathname = [url.pathname.replace(/\/*$/, ''), ...path.map(escaped)].join('/')
  url.search = Object.keys(query)
    .sort()
    .map((key) => `${escaped(key)}=${escaped(query[key] ?? '')}`)
    .join('&')
  return url
}

/** As the signature has it (AWS: "UriEncode"). */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** The hosts of regions outside the main partition (AWS: "partitions.json"). */
const DOMAINS: readonly (readonly [RegExp, string])[] = [
  [/^cn-/, 'amazonaws.com.cn'],
  [/^us-iso-/, 'c2s.ic.gov'],
  [/^us-isob-/, 'sc2s.sgov.gov'],
  [/^us-isof-/, 'csp.hci.ic.gov'],
  [/^eu-isoe-/, 'cloud.adc-e.uk'],
  [/^eusc-/, 'amazonaws.eu'],
]

function amazon(region: string, scheme: string): string {
  const domain = DOMAINS.find(([pattern]) => pattern.test(region))?.[1] ?? 'amazonaws.com'
  return `${scheme}://s3.${region}.${domain}`
}

/** With a scheme, or without one, as Nix takes both. */
function endpointOf(parameters: URLSearchParams): string | undefined {
  const endpoint = parameters.get('endpoint')
  if (!endpoint) return undefined
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(endpoint)
    ? endpoint
    : `${schemeFrom(parameters)}://${endpoint}`
  if (!/^https?:/i.test(whole) || !URL.canParse(whole))
    throw new UserError(
      `endpoint in the URL of a destination is no address at http:// or https://: ${endpoint}`,
    )
  return whole
}

function schemeFrom(parameters: URLSearchParams): string {
  const scheme = parameters.get('scheme') || 'https'
  if (['http', 'https'].includes(scheme)) return scheme
  throw new UserError(`scheme in the URL of a destination is http or https, not ${scheme}`)
}

/** Servers other than Amazon's seldom have a host name for each bucket, and no certificate covers a name with dots. */
function isPathStyle(parameters: URLSearchParams, endpoint: string | undefined, bucket: string): boolean {
  const style = parameters.get('addressing-style') ?? 'auto'
  if (style === 'path') return true
  if (style === 'virtual') return false
  if (style === 'auto') return endpoint !== undefined || bucket.includes('.')
  throw new UserError(`addressing-style in the URL of a destination is auto, path or virtual, not ${style}`)
}

/** Other services have their own classes, so the server decides which are valid. */
function storageClassOf(parameters: URLSearchParams): string | undefined {
  const name = parameters.get('storage-class')
  if (!name) return undefined
  if (/^[A-Z][A-Z0-9_]*$/.test(name)) return name
  throw new UserError(`storage-class in the URL of a destination is such as STANDARD_IA, not ${name}`)
}

function sizeOf(parameters: URLSearchParams, name: string, otherwise: number): number {
  const value = parameters.get(name)
  if (value === null) return otherwise
  // To Nix, K, M, G and T are powers of 1024. It takes no other unit.
  const size = parseSize(
    value.replace(/^(\d+)([KMGT])$/i, (_, count, unit) => `${count}${unit.toUpperCase()}i`),
  )
  if (size === undefined) throw new UserError(`${name} in the URL of a destination is no size: ${value}`)
  return size
}
