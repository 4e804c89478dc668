import { expect, test } from 'vitest'
import { parseS3Url } from '../../../src/transport/s3/s3-url.ts'

test('a bucket is Amazon’s, in us-east-1, unless the URL says otherwise', () => {
  expect(parseS3Url('s3://cache')).toEqual({
    bucket: 'cache',
    prefix: '',
    region: 'us-east-1',
    endpoint: undefined,
    isSecure: true,
    profile: undefined,
    isPathStyle: false,
    storageClass: undefined,
    partsFromBytes: 100 * 1024 * 1024,
    partBytes: 16 * 1024 * 1024,
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
    partsFromBytes: 20 * 1024 * 1024,
    partBytes: 10 * 1024 * 1024,
  })
  expect(parseS3Url('s3://cache?multipart-upload=false').partsFromBytes).toBe(Number.POSITIVE_INFINITY)
})

test.each([
  ['endpoint=minio.example:9000', 'https://minio.example:9000', true],
  ['endpoint=minio.example:9000&scheme=http', 'http://minio.example:9000', true],
  ['endpoint=http://minio.example:9000', 'http://minio.example:9000', true],
  ['endpoint=https://s3.example&scheme=http', 'https://s3.example', true],
  ['endpoint=https%3A%2F%2Fs3.example&addressing-style=virtual', 'https://s3.example', false],
  ['addressing-style=path', undefined, true],
  ['addressing-style=auto', undefined, false],
])('%s', (query, endpoint, isPathStyle) => {
  expect(parseS3Url(`s3://cache?${query}`)).toMatchObject({ endpoint, isPathStyle })
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
])('%s is refused', (query, says) => {
  expect(() => parseS3Url(`s3://cache?${query}`)).toThrow(says)
})
