// What S3 answers when it is in trouble, or far away: said by a server of ours that answers as Amazon does.

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Expected, expectFailure, makeFile, put, putText } from '../bed.ts'
import { moodyS3, says } from './moody-s3.ts'
import { ANYBODY, withTransport } from './s3-bed.ts'

const { cache, dir, url } = await moodyS3()

const region = { 'x-amz-bucket-region': 'eu-central-1' }
const ANSWERS: [number, string, Record<string, string>, Expected][] = [
  [301, 'PermanentRedirect', region, { says: /another region.*correct region=.*it is in eu-central-1.*301/ }],
  [400, 'AuthorizationHeaderMalformed', region, { says: /another region.*eu-central-1/ }],
  [400, 'ExpiredToken', {}, { says: /session token has run out/ }],
  [
    400,
    'EntityTooLarge',
    {},
    { says: /file of this size/, blame: 'job', permanent: true, isOfOneFile: true },
  ],
  [400, 'InvalidStorageClass', {}, { says: /storage-class/ }],
  [403, 'QuotaExceeded', {}, { says: /may hold no more/, isOfOneFile: true, isTrouble: true }],
  [403, 'SomethingElse', {}, { says: /S3 refuses.*403 SomethingElse \(why <b> & "c"\)/, isOfOneFile: true }],
  [404, 'NoSuchBucket', {}, { says: /no such bucket/ }],
  [405, 'MethodNotAllowed', {}, { says: /no S3: check endpoint=/ }],
  [500, 'InternalError', {}, { says: /an internal problem/, isOfOneFile: true, isTrouble: true }],
]

test.each(ANSWERS)('%i %s', async (status, code, headers, expected) => {
  cache.behave(says(status, code, headers, 'why &lt;b&gt; &amp; &quot;c&quot;'))
  const { body } = await makeFile(join(dir, 'refused'), 5_000_000)
  await withTransport(url(), ANYBODY, (transport) => {
    return expectFailure(put(transport, 'nar/x', body), expected)
  })
  expect(cache.seen).toHaveLength(status === 500 ? 5 : 1)
})

test('characters by their number are read, and numbers that are none are left', async () => {
  cache.behave(says(400, 'Odd', {}, '&#65;&#x42;&#9999999;&#xffffff;&constructor;'))
  await withTransport(url(), ANYBODY, async (transport) => {
    const expected: Expected = { says: /\(AB&#9999999;&#xffffff;&constructor;\)/, isOfOneFile: true }
    await expectFailure(putText(transport, 'x'), expected)
  })
})

test('a page of a web server is no S3', async () => {
  cache.behave({ status: 404, body: '<html><title>Nothing here</title></html>' })
  await withTransport(url(), ANYBODY, async (transport) => {
    await expectFailure(putText(transport, 'x'), { says: /no S3: check endpoint=/ })
  })
})

test('what reads credentials is not loaded before it is used: it would slow down every command', () => {
  const program = `
    const { createTransport } = await import(process.argv[1])
    createTransport({ to: 's3://cache', progressTimeoutMs: 1000 })
    const { createRequire } = await import('node:module')
    console.log(Object.keys(createRequire('/').cache).filter((file) => /@aws-sdk|@smithy/.test(file)).length)
    await import('@aws-sdk/credential-provider-node')
    console.log(Object.keys(createRequire('/').cache).filter((file) => /@aws-sdk|@smithy/.test(file)).length > 0)`
  const file = createRequire(import.meta.url).resolve('../../../src/transport/create-transport.ts')
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, file], {
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(stdout).toBe('0\ntrue\n')
})
