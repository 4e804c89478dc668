// What a real S3 refuses, and what there is not: Ceph's gateway.

import { join } from 'node:path'
import { CreateBucketCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import type { Transport } from '../../../src/transport/transport.ts'
import { freePort } from '../../support/servers/server-process.ts'
import { expectFailure, makeFile, never, putText } from '../bed.ts'
import { radosgwBed } from './radosgw-bed.ts'
import { NOBODY, withTransport } from './s3-bed.ts'

const { dir, s3, alice, urlOf, putOnce } = await radosgwBed()

describe('who may not', () => {
  test.each([
    [
      'a wrong secret',
      () => ({ ...s3.alice, secretAccessKey: 'nonsense' }),
      /secret key does not fit.*SignatureDoesNotMatch/,
    ],
    [
      'an unknown key',
      () => ({ ...s3.alice, accessKeyId: 'AKIANOBODY' }),
      /does not know our access key.*InvalidAccessKeyId/,
    ],
    [
      'no key at all',
      () => NOBODY,
      /no AWS credentials for the user \w+.*AWS_ACCESS_KEY_ID.*\.aws\/credentials/,
    ],
  ] as const)('with %s: a GET and a PUT say what to check', async (_, user, says) => {
    await withTransport(urlOf('cache'), user(), async (transport) => {
      for (const action of [() => transport.get('x.narinfo', never), () => putText(transport, 'x.narinfo')]) {
        const message = await expectFailure(action(), { says })
        expect(message).not.toContain(user().secretAccessKey || s3.alice.secretAccessKey)
      }
    })
  })

  test('with the bucket of another user: a PUT is refused, and a GET finds nothing, as Nix has it', async () => {
    await withTransport(urlOf('cache'), s3.bob, async (transport) => {
      expect(await transport.get('x.narinfo', never)).toBeUndefined()
      await expectFailure(putText(transport, 'x.narinfo'), {
        says: /bucket's policy.*AccessDenied/,
        isOfOneFile: true,
      })
    })
  })

  /** Makes a bucket of alice's where bob may upload, and read or not, has him upload there twice, and returns what he is warned of. */
  async function uploadAllowed(Bucket: string, mayRead: boolean): Promise<string[]> {
    await alice.send(new CreateBucketCommand({ Bucket }))
    const Principal = { AWS: ['arn:aws:iam:::user/bob'] }
    const Resource = [`arn:aws:s3:::${Bucket}/*`]
    const Statement = [
      { Effect: 'Allow', Principal, Action: ['s3:PutObject'], Resource },
      // What he has uploaded is his, and he may read it unless he is forbidden to.
      { Effect: mayRead ? 'Allow' : 'Deny', Principal, Action: ['s3:GetObject'], Resource },
    ]
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await alice.send(new PutBucketPolicyCommand({ Bucket, Policy }))
    const warnings: string[] = []
    const onWarning = (message: string) => warnings.push(message)
    const use = async (transport: Transport) => {
      expect(await transport.get('x.narinfo', never)).toBeUndefined()
      await putText(transport, 'x.narinfo', 'there')
      await putText(transport, 'y.narinfo', 'there')
      expect(await transport.get('x.narinfo', never)).toBe(mayRead ? 'there' : undefined)
    }
    await withTransport(urlOf(Bucket), s3.bob, use, { onWarning })
    return warnings
  }

  test('who may not list a bucket can still upload to it', async () => {
    expect(await uploadAllowed('no-listing', true)).toEqual([])
  })

  test('who may not read a bucket either can upload to it too, and is warned once', async () => {
    const warnings = await uploadAllowed('no-reading', false)
    expect(warnings).toEqual([expect.stringMatching(/not read.*s3:GetObject.*uploaded each time/)])
  })

  test.each(['+1h', '-1h'])('a clock that is off by %s is made up for', async (off) => {
    const { body } = await makeFile(join(dir, 'clock'), 1000)
    const env = { FAKETIME_DONT_FAKE_MONOTONIC: '1' }
    expect(await putOnce(env, urlOf('cache'), body.file, ['faketime', '-f', off])).not.toHaveProperty(
      'verdict',
    )
  })
})

describe('where there is no such thing', () => {
  test('as the bucket', async () => {
    await withTransport(urlOf('nowhere'), s3.alice, async (transport) => {
      const says = /there is no such bucket: check its name, region and endpoint.*NoSuchBucket/
      await expectFailure(transport.get('x.narinfo', never), { says })
      await expectFailure(putText(transport, 'x.narinfo'), { says })
    })
  })

  test.each([
    [
      'as a listener',
      async (): Promise<string> => `http://127.0.0.1:${await freePort()}`,
      /does not accept connections.*endpoint.*ECONNREFUSED/,
    ],
    [
      'as the host',
      async (): Promise<string> => 'http://no-such-host.invalid',
      /can't be resolved.*endpoint/,
    ],
    ['as https', async (): Promise<string> => `127.0.0.1:${s3.port}`, /scheme=http for S3/],
  ] as const)('%s at the endpoint', async (_, endpoint, says) => {
    await withTransport(`s3://cache?endpoint=${await endpoint()}`, s3.alice, async (transport) => {
      await expectFailure(putText(transport, 'x.narinfo'), { says })
    })
  })

  test('as sense in the URL: it is said when it is used', async () => {
    await withTransport(urlOf('cache', '&multipart-chunk-size=1'), s3.alice, async (transport) => {
      await expect(putText(transport, 'x')).rejects.toThrow(/multipart-chunk-size/)
    })
  })
})
