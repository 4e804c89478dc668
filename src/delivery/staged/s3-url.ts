import type { StorageClass } from '@aws-sdk/client-s3'
import { parseSize } from '../../util/size.ts'
import { UserError } from '../../util/user-error.ts'

/** A place in S3, and how to upload there. */
export interface S3Place {
  bucket: string
  /** Before each name: empty, or with a slash at its end. */
  prefix: string
  region: string
  /** None: Amazon's own, of the region. */
  endpoint: string | undefined
  /** Whether Amazon's own endpoint is spoken to in https. */
  isSecure: boolean
  profile: string | undefined
  /** Whether the bucket stands in the path rather than in the host name. */
  isPathStyle: boolean
  storageClass: StorageClass | undefined
  /** Files that are larger go in parts. */
  partsFromBytes: number
  partBytes: number
}

const MIB = 1024 * 1024
/** What S3 takes. */
const LEAST_PART = 5 * MIB
const MOST_PART = 5 * 1024 * MIB
const DEFAULT_PART = 16 * MIB
const DEFAULT_THRESHOLD = 100 * MIB

/**
 * Reads a store URL of Nix's, `s3://bucket/prefix?region=…`, with the settings that Nix gives these stores. What Nix
 * leaves off unless asked, uploading in parts, is on unless it is turned off: without it no file may be over 5 GiB.
 * @throws {UserError} where it makes no sense.
 */
export function parseS3Url(to: string): S3Place {
  const url = new URL(to)
  const parameters = url.searchParams
  const endpoint = endpointOf(parameters)
  const bucket = url.hostname
  const prefix = decodeURIComponent(url.pathname).replaceAll(/^\/+|\/+$/g, '')
  const isInParts = !['false', '0'].includes(parameters.get('multipart-upload') ?? '')
  const partBytes = sizeOf(parameters, 'multipart-chunk-size', DEFAULT_PART)
  if (partBytes < LEAST_PART || partBytes > MOST_PART) {
    throw new UserError('multipart-chunk-size in the URL of a destination must be from 5 MiB to 5 GiB')
  }
  return {
    bucket,
    prefix: prefix === '' ? '' : `${prefix}/`,
    region: parameters.get('region') || 'us-east-1',
    endpoint,
    isSecure: parameters.get('scheme') !== 'http',
    profile: parameters.get('profile') || undefined,
    isPathStyle: isPathStyle(parameters, endpoint, bucket),
    storageClass: storageClassOf(parameters),
    partsFromBytes: isInParts
      ? sizeOf(parameters, 'multipart-threshold', DEFAULT_THRESHOLD)
      : Number.POSITIVE_INFINITY,
    partBytes,
  }
}

/** With a scheme, or without one, as Nix takes both. */
function endpointOf(parameters: URLSearchParams): string | undefined {
  const endpoint = parameters.get('endpoint')
  if (!endpoint) return undefined
  const scheme = parameters.get('scheme') || 'https'
  const whole = /^https?:\/\//.test(endpoint) ? endpoint : `${scheme}://${endpoint}`
  if (!URL.canParse(whole))
    throw new UserError(`endpoint in the URL of a destination is no address: ${endpoint}`)
  return whole
}

/** Other servers than Amazon's seldom have a host name for each bucket, and no certificate covers a name with dots. */
function isPathStyle(parameters: URLSearchParams, endpoint: string | undefined, bucket: string): boolean {
  const style = parameters.get('addressing-style') ?? 'auto'
  if (style === 'path') return true
  if (style === 'virtual') return false
  if (style === 'auto') return endpoint !== undefined || bucket.includes('.')
  throw new UserError(`addressing-style in the URL of a destination is auto, path or virtual, not ${style}`)
}

function storageClassOf(parameters: URLSearchParams): StorageClass | undefined {
  const name = parameters.get('storage-class')
  if (!name) return undefined
  if (isStorageClass(name)) return name
  throw new UserError(`storage-class in the URL of a destination is such as STANDARD_IA, not ${name}`)
}

/** Others than Amazon have classes of their own, so it is left to the server which there are. */
function isStorageClass(name: string): name is StorageClass {
  return /^[A-Z][A-Z0-9_]*$/.test(name)
}

function sizeOf(parameters: URLSearchParams, name: string, otherwise: number): number {
  const value = parameters.get(name)
  if (value === null) return otherwise
  const size = parseSize(value)
  if (size === undefined) throw new UserError(`${name} in the URL of a destination is no size: ${value}`)
  return size
}
