import { describe, expect, test } from 'vitest'
import {
  fileOf,
  isBinaryCache,
  schemeOf,
  storeUrlProblem,
  withoutParameters,
  withParameters,
} from '../../src/config/store-url.ts'

describe('a store URL', () => {
  test.each<[url: string, scheme: string, isCache: boolean]>([
    ['file:///var/cache', 'file', true],
    ['http://cache.example:8080/nix', 'http', true],
    ['http://cache.example:8080/@scope/x', 'http', true],
    ['https://cache.example', 'https', true],
    ['https://user@cache.example/a:b@c', 'https', true],
    ['http://[::1]:8080/nix', 'http', true],
    ['http://cache.example/100%25/b%20c', 'http', true],
    ['file:///var/b%20c/../100%25/', 'file', true],
    ['s3://bucket?region=eu-west-1&profile=x', 's3', true],
    ['s3://my_bucket/some/prefix', 's3', true],
    ['ssh://builder', 'ssh', false],
    ['ssh-ng://root@builder?compress=true', 'ssh-ng', false],
    ['unix:///run/nix/socket', 'unix', false],
    ['unix://?root=/mnt', 'unix', false],
    ['local?root=/mnt', 'local', false],
    ['local?real=/srv/nix/store&state=/srv/var', 'local', false],
    ['local?require-sigs=false&store=/srv/store', 'local', false],
  ])('%s will do', (url, scheme, isCache) => {
    expect(storeUrlProblem(url)).toBeUndefined()
    expect(schemeOf(url)).toBe(scheme)
    expect(isBinaryCache(url)).toBe(isCache)
  })

  test.each([
    'local',
    'local?',
    'local?require-sigs=false',
    'local?log=/root=',
    'local://',
    'auto',
    'daemon',
    'unix://',
  ])('%j is the store that the paths come from, so nothing would be uploaded', (url) => {
    expect(storeUrlProblem(url)).toMatch(
      /^expected a store other than the local one, .*"local\?root=\/DIRECTORY"/,
    )
  })

  const KINDS =
    'expected a store URL: file://, http://, https://, s3://, ssh://, ssh-ng://, unix:// or local?root='
  test.each<[url: string, problem: string]>([
    ['', KINDS],
    ['cache.example', KINDS],
    ['ftp://cache.example', KINDS],
    ['S3://bucket', KINDS],
    ['https:/cache.example', KINDS],
    ['--store', KINDS],
    [
      '/var/cache',
      'expected a store URL: "file:///var/cache" for a binary cache, "local?root=/var/cache" for',
    ],
    ['s3', 'expected a place behind "s3://"'],
    ['s3://', 'expected a place behind "s3://"'],
    ['s3://?region=eu-west-1', 'expected a place behind "s3://"'],
    ['file?x=y', 'expected a place behind "file://"'],
    ['https://', 'expected a place behind "https://"'],
    ['file:///my cache', 'expected a store URL without white space'],
    ['s3://bucket\n', 'expected a store URL without white space'],
    ['s3://bucket\u001b[2J', 'or control characters'],
    ['s3://bucket\0', 'expected a store URL without white space'],
    ['https://me:secret@cache.example', 'a password in the URL could be read by every local user'],
    ['http://me:@cache.example/x', 'a password in the URL could be read by every local user'],
    ['http://me:se/cr?et#@cache.example/x', 'a password in the URL could be read by every local user'],
    ['http://me:1234@cache.example', 'a password in the URL could be read by every local user'],
    ['https://cache.example/100%', 'write a percent sign that is meant as %25'],
    ['http://cache.example/%E4', 'expected hexadecimal digits behind each "%", of UTF-8'],
    ['s3://bucket/100%?endpoint=s3.example', 'write a percent sign that is meant as %25'],
    ['s3:///prefix', 'expected the name of a bucket'],
    ['http:///nix', 'expected a host behind "http://"'],
    ['https://cache.example:99999/nix', 'no port above 65535'],
    ['http://cache<.example', 'expected a host behind "http://"'],
    ['ssh://-oProxyCommand=reboot', 'expected a host behind "ssh://" that does not begin with "-"'],
    ['ssh-ng://me@-oProxyCommand=reboot', 'that does not begin with "-"'],
  ])('%j will not, and it is said why', (url, problem) => {
    expect(storeUrlProblem(url)).toContain(problem)
  })

  test.each(['', 'x y', '://', 'cache.example:80', 'S3://bucket'])('%j has no scheme', (url) => {
    expect(schemeOf(url)).toBe('')
    expect(isBinaryCache(url)).toBe(false)
  })
})

test.each([
  ['file:///var/cache?compression=xz', '/var/cache'],
  ['file:///var/cache/#x', '/var/cache'],
  ['file:///var//b%20c+d%3F/', '/var/b c+d?'],
  ['file:///var/gone/../cache/.', '/var/cache'],
  ['file:///', '/'],
  ['file:///var/100%', '/var/100%'],
  ['file://srv/cache/', 'srv/cache'],
])('%s is the directory %s, as with Nix', (url, directory) => {
  expect(fileOf(url)).toBe(directory)
})

test.each([
  ['file:///c?a=1&secret-key=/k&b=2', 'file:///c?a=1&b=2'],
  ['file:///c?secret-key=/k&secret-key=/l', 'file:///c'],
  ['file:///c?secret-key-of=x', 'file:///c?secret-key-of=x'],
  ['file:///c', 'file:///c'],
])('a parameter is taken out of %s', (url, result) => {
  expect(withoutParameters(url, ['secret-key'])).toBe(result)
})

describe('parameters are added to a store URL', () => {
  const ZSTD = { compression: 'zstd' }

  test.each<[url: string, parameters: Record<string, string>, result: string]>([
    ['file:///c', ZSTD, 'file:///c?compression=zstd'],
    ['file:///c?', ZSTD, 'file:///c?compression=zstd'],
    ['file:///c?a=b', ZSTD, 'file:///c?a=b&compression=zstd'],
    ['file:///c?compression=xz', ZSTD, 'file:///c?compression=xz'],
    ['file:///c?compression=', ZSTD, 'file:///c?compression='],
    ['file:///c?compression-level=3', ZSTD, 'file:///c?compression-level=3&compression=zstd'],
    ['local', { root: '/mnt' }, 'local?root=/mnt'],
    ['file:///c', {}, 'file:///c'],
    ['file:///c?a=b', {}, 'file:///c?a=b'],
    ['file:///c', { 'secret-key': '/etc/my key&more' }, 'file:///c?secret-key=/etc/my%20key%26more'],
    ['file:///c', { a: '1', b: '2' }, 'file:///c?a=1&b=2'],
  ])('%s with %o is %s', (url, parameters, result) => {
    expect(withParameters(url, parameters)).toBe(result)
  })
})
