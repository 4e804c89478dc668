import { expect, test } from 'vitest'
import { parseS3Url } from '../../../src/transport/s3/s3-url.ts'

test('a bucket is Amazon’s, in us-east-1, unless the URL says otherwise', () => {
  expect(parseS3Url('s3://cache')).toEqual({
    bucket: 'cache',
    prefix: '',
    region: 'us-east-1',
    endpoint: 'https://s3.us-east-1.amazonaws.com',
    profile: undefined,
    isPathStyle: false,
    storageClass: undefined,
    wholeUpToBytes: 5 * 1024 * 1024,
    partBytes: 5 * 1024 * 1024,
  })
})

test('settings of Nix are taken as Nix takes them', () => {
  const url =
    's3://cache/some/prefix/?region=eu-west-1&profile=builder&storage-class=STANDARD_IA&compression=zstd' +
    '&multipart-upload=true&multipart-threshold=20971520&multipart-chunk-size=10485760'
  expect(parseS3Url(url)).toMatchObject({
    prefix: 'some/prefix/',
    region: 'eu-west-1',
    profile: 'builder',
    storageClass: 'STANDARD_IA',
    wholeUpToBytes: 20 * 1024 * 1024,
    partBytes: 10 * 1024 * 1024,
  })
  for (const off of ['false', 'no', '0'])
    expect(parseS3Url(`s3://cache?multipart-upload=${off}`).wholeUpToBytes).toBe(Number.POSITIVE_INFINITY)
  expect(parseS3Url('s3://cache?profile=a+b').profile).toBe('a+b')
})

// Nix takes `5M` and `5m`, and refuses `5MiB` and `1K` (seen with 2.35).
test.each([
  ['8388608', 8],
  ['8192K', 8],
  ['8M', 8],
  ['8m', 8],
  ['1G', 1024],
  ['8MiB', 8],
])('a size of %s is the same number of MiB as for Nix: %s', (size, mib) => {
  const url = `s3://cache?multipart-threshold=${size}&multipart-chunk-size=${size}`
  expect(parseS3Url(url)).toMatchObject({ wholeUpToBytes: mib * 1024 * 1024, partBytes: mib * 1024 * 1024 })
})

test.each([
  ['endpoint=minio.example:9000', 'https://minio.example:9000', true],
  ['endpoint=minio.example:9000&scheme=http', 'http://minio.example:9000', true],
  ['endpoint=http://minio.example:9000', 'http://minio.example:9000', true],
  ['endpoint=HTTP://minio.example:9000', 'HTTP://minio.example:9000', true],
  ['endpoint=https://s3.example&scheme=http', 'https://s3.example', true],
  ['endpoint=https%3A%2F%2Fs3.example&addressing-style=virtual', 'https://s3.example', false],
  ['addressing-style=path', 'https://s3.us-east-1.amazonaws.com', true],
  ['addressing-style=auto', 'https://s3.us-east-1.amazonaws.com', false],
  ['scheme=http&region=eu-west-1', 'http://s3.eu-west-1.amazonaws.com', false],
])('%s', (query, endpoint, isPathStyle) => {
  expect(parseS3Url(`s3://cache?${query}`)).toMatchObject({ endpoint, isPathStyle })
})

test('a prefix is percent-decoded, and slashes at its end don’t count, as with Nix', () => {
  expect(parseS3Url('s3://cache/a%20b/%C3%BC//').prefix).toBe('a b/ü/')
  expect(parseS3Url('s3://cache//a//b').prefix).toBe('/a//b/')
  // A slash that is written as %2F is part of the name.
  expect(parseS3Url('s3://cache/%2Fa%2F/').prefix).toBe('/a//')
  for (const none of ['s3://cache', 's3://cache/', 's3://cache//']) expect(parseS3Url(none).prefix).toBe('')
})

test.each([
  ['us-east-1', 'amazonaws.com'],
  ['us-gov-west-1', 'amazonaws.com'],
  ['cn-north-1', 'amazonaws.com.cn'],
  ['us-iso-east-1', 'c2s.ic.gov'],
  ['us-isob-east-1', 'sc2s.sgov.gov'],
  ['eu-isoe-west-1', 'cloud.adc-e.uk'],
  ['us-isof-south-1', 'csp.hci.ic.gov'],
  ['eusc-de-east-1', 'amazonaws.eu'],
])('the region %s is below %s', (region, domain) => {
  expect(parseS3Url(`s3://cache?region=${region}`).endpoint).toBe(`https://s3.${region}.${domain}`)
})

test('a bucket with dots in its name stands in the path, since no certificate covers it otherwise', () => {
  expect(parseS3Url('s3://cache.example.org').isPathStyle).toBe(true)
})

test.each([
  ['addressing-style=dns', /addressing-style.*auto, path or virtual, not dns/],
  ['multipart-chunk-size=1024', /multipart-chunk-size.*from 5 MiB to 5 GiB/],
  ['multipart-threshold=large', /multipart-threshold.*no size: large/],
  ['storage-class=cold', /storage-class.*such as STANDARD_IA, not cold/],
  ['endpoint=http://', /endpoint.*no address/],
  ['endpoint=ftp://s3.example', /endpoint.*no address at http:\/\/ or https:\/\/: ftp:/],
  ['endpoint=s3.example&scheme=ftp', /scheme.*http or https, not ftp/],
  ['scheme=ftp', /scheme.*http or https, not ftp/],
])('%s is refused', (query, says) => {
  expect(() => parseS3Url(`s3://cache?${query}`)).toThrow(says)
})
