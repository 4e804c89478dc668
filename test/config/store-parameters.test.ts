// Nothing in a store URL vanishes: each parameter is followed, makes Nix the writer, or is refused by name.

import { describe, expect, test } from 'vitest'
import { compressionOf } from '../../src/config/compression.ts'
import { loadConfig } from '../../src/config/load.ts'
import { refuseMissingPrograms } from '../../src/config/missing-programs.ts'
import { flagOf } from '../../src/config/store-flags.ts'
import { keyFilesIn, parametersOf } from '../../src/config/store-parameters.ts'
import { complaint, complaintOf } from './complaint.ts'

const destination = (to: string) => `[[destination]]\nto = "${to}"\n`

async function viaOf(to: string): Promise<string | undefined> {
  return (await loadConfig({ to }, {})).destinations[0]?.via
}

describe.each(['file:///cache', 'http://cache', 's3://cache'])('in the URL of %s', (url) => {
  test.each([
    'compression=none',
    'compression=gzip&compression-level=9',
    'parallel-compression=true',
    'write-nar-listing=1',
    'secret-key=/key',
    'priority=30&want-mass-query=true&trusted=1&local-nar-cache=/x&path-info-cache-size=1&system-features=kvm',
  ])('%s is followed, or is for readers alone', async (query) => {
    expect(await viaOf(`${url}?${query}`)).toBe('writer')
  })

  test('index-debug-info makes Nix the writer, where it is on', async () => {
    for (const on of ['true', 'yes', '1']) expect(await viaOf(`${url}?index-debug-info=${on}`)).toBe('nix')
    for (const off of ['false', 'no', '0'])
      expect(await viaOf(`${url}?index-debug-info=${off}`)).toBe('writer')
  })

  test.each([
    ['compresion=xz', 'unknown parameter "compresion"; did you mean "compression"?'],
    ['write_nar_listing=1', 'unknown parameter "write_nar_listing"; did you mean "write-nar-listing"?'],
    ['something=1', 'unknown parameter "something"; known parameters: compression, '],
    ['constructor=1', 'unknown parameter "constructor"'],
  ])('%s is refused with what was likely meant', async (query, problem) => {
    expect(await complaint(destination(`${url}?${query}`))).toContain(problem)
  })

  test.each([
    ['compression=zip', 'compression=zip in the URL of a destination is unknown; use one of none, zstd, '],
    ['compression=toString', 'compression=toString in the URL of a destination is unknown'],
    [
      'compression-level=23',
      'compression-level=23 in the URL of a destination is no level of zstd; use a number from 1 to 22',
    ],
    ['compression=xz&compression-level=fast', 'is no level of xz; use a number from 0 to 9'],
    ['write-nar-listing=maybe', 'expected write-nar-listing=true or write-nar-listing=false, got write-nar-'],
    ['parallel-compression=2', 'expected parallel-compression=true or parallel-compression=false'],
    ['index-debug-info=True', 'expected index-debug-info=true or index-debug-info=false'],
    ['want-mass-query=bla', 'expected want-mass-query=true or want-mass-query=false'],
  ])('%s is refused', async (query, problem) => {
    expect(await complaint(destination(`${url}?${query}`))).toContain(problem)
  })

  test.each(['compression', 'compression-level', 'parallel-compression', 'priority', 'want-mass-query'])(
    'no value of %s is refused, as by Nix',
    async (name) => {
      for (const query of [`${name}=`, name, `${name}=&secret-key=/key`])
        expect(await complaint(destination(`${url}?${query}`))).toContain(
          `destination[0].to: expected a value behind the parameter "${name}"; leave it out for the default, got `,
        )
    },
  )
})

test.each([
  ['http://cache?tls-certificate=/a&tls-private-key=/b', 'nix'],
  ['https://cache?narinfo-compression=br', 'nix'],
  ['s3://cache?region=eu-west-1&endpoint=x.example&scheme=http&profile=p&addressing-style=path', 'writer'],
  ['s3://cache?storage-class=STANDARD_IA&multipart-upload=true&multipart-chunk-size=8MiB', 'writer'],
  ['s3://cache?profile=&endpoint=&scheme=&storage-class=&secret-key=', 'writer'],
  ['http://cache?narinfo-compression=&tls-certificate=', 'writer'],
])('%s goes by %s', async (to, via) => {
  expect(await viaOf(to)).toBe(via)
})

test.each([
  ['http://cache?region=eu', 'unknown parameter "region"'],
  ['file:///cache?endpoint=x', 'unknown parameter "endpoint"'],
  [
    'http://cache?retry-attempts=3',
    `the parameter "retry-attempts" is not supported: retry-min and retry-max`,
  ],
  ['s3://cache?region=', 'expected a value behind the parameter "region"'],
  ['s3://cache?multipart-chunk-size=', 'expected a value behind the parameter "multipart-chunk-size"'],
  ['s3://cache?addressing-style', 'expected a value behind the parameter "addressing-style"'],
  ['s3://tenant:bucket', '"tenant:bucket" is not supported'],
  ['s3://arn:aws:s3:us-east-1:1:accesspoint/x', 'ARNs are not supported'],
  ['s3://cache--use1-az4--x-s3', 'directory buckets (S3 Express) are not supported'],
])('%s is refused by name', async (to, problem) => {
  expect(await complaint(destination(to))).toContain(problem)
})

test.each([
  ['ssh://host?compres=true', 'ssh; did you mean "compress"?'],
  ['ssh-ng://host?remote_program=x', 'ssh-ng; did you mean "remote-program"?'],
  ['local?root=/mnt&require-sig=false', 'local; did you mean "require-sigs"?'],
  ['unix:///socket?max-connection=1', 'unix; did you mean "max-connections"?'],
])('what Nix would ignore in %s is taken, with a warning', async (to, says) => {
  const { warnings } = await loadConfig({ to }, {})
  expect(warnings).toEqual([expect.stringMatching(/^destination "default": Nix will ignore the parameter /)])
  expect(warnings[0]).toContain(says)
})

test.each([
  'ssh-ng://host?compress=true&ssh-key=/key&port=2222&max-connections=2',
  'ssh://host?something-of-a-newer-nix=1',
  'local?root=/mnt&require-sigs=false',
  'unix:///socket?root=/mnt',
])('%s is taken as it is', async (to) => {
  expect((await loadConfig({ to }, {})).warnings).toEqual([])
})

test('the keys of a URL are all that it names', () => {
  expect(keyFilesIn('http://cache?secret-key=/a&secret-keys=/b,/c%20/d')).toEqual(['/a', '/b', '/c /d'])
})

test('a plus sign in a parameter is one, and no blank', () => {
  expect(keyFilesIn('http://cache?secret-key=/c++/k%2B%20y')).toEqual(['/c++/k+ y'])
})

test.each([
  ['true', true],
  ['yes', true],
  ['1', true],
  ['false', false],
  ['no', false],
  ['0', false],
  ['2', undefined],
])('true and false in the words of Nix: %j', (word, is) => {
  const parameters = parametersOf(
    `http://cache?write-nar-listing=${word}&parallel-compression=${word}&compression=xz`,
  )
  expect(flagOf(parameters, 'write-nar-listing')).toBe(is)
  const by = { program: 'xz', args: is ? ['-c', '-T0'] : ['-c'] }
  expect(compressionOf(parameters)).toMatchObject({ by })
})

test('a compression whose program is not there is refused by who delivers, and by check-config', async () => {
  const { destinations } = await loadConfig({ to: 'file:///cache?compression=lzop' }, {})
  const path = process.env.PATH
  process.env.PATH = '/nowhere'
  try {
    const text = await complaintOf(async () => refuseMissingPrograms(destinations), 78)
    expect(text).toContain('compression=lzop needs the program "lzop", which is not on the PATH')
  } finally {
    process.env.PATH = path
  }
})
