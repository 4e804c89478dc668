// Uploads to a real S3 that checks signatures: Ceph's gateway.

import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Verdict } from '../../../src/nix/blame.ts'
import { createS3Transport } from '../../../src/transport/s3/s3-transport.ts'
import type { Transport } from '../../../src/transport/transport.ts'
import { expectFailure, makeFile, never, putText } from '../../cache/bed.ts'
import { runProgram } from '../../support/run.ts'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { type Radosgw, startRadosgw } from '../../support/servers/radosgw.ts'
import { freePort } from '../../support/servers/server-process.ts'
import { openTcpGate } from '../../support/servers/tcp-gate.ts'
import { clientOf, environmentOf, NOBODY, withTransport } from './s3-bed.ts'

const PUT_ONCE = join(import.meta.dirname, 'put-once.ts')

let dir: string
let s3: Radosgw
let alice: S3Client

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'nix-upload-s3-'))
  s3 = await startRadosgw()
  alice = clientOf(s3.endpoint, s3.alice)
  await alice.send(new CreateBucketCommand({ Bucket: 'cache' }))
  return async () => {
    await s3.stop()
    await rm(dir, { recursive: true })
  }
})

const urlOf = (bucket: string, query = '') =>
  `s3://${bucket}?region=eu-west-1&endpoint=${s3.endpoint}${query}`

async function download(Key: string) {
  const { Body, ContentType, StorageClass, ContentLength } = await alice.send(
    new GetObjectCommand({ Bucket: 'cache', Key }),
  )
  const hash = createHash('sha256').update((await Body?.transformToByteArray()) ?? '')
  return { digest: hash.digest('hex'), ContentType, StorageClass, ContentLength }
}

/** Uploads from a process of its own, whose environment is only this. */
async function putOnce(env: Record<string, string>, to: string, file: string, within: string[] = []) {
  const [program = '', ...args] = [...within, process.execPath, PUT_ONCE, to, 'nar/once', file]
  const all = { ...environmentOf(s3.alice), ...env, PATH: process.env.PATH ?? '' }
  const { stdout, stderr } = await runProgram(program, args, { env: all })
  if (stdout === '') throw new Error(stderr)
  const result: { verdict?: Verdict; again?: Verdict; peakBytes: number } = JSON.parse(stdout)
  return result
}

describe('with the right key', () => {
  test('files go there and come back as they were', async () => {
    const { body, digest } = await makeFile(join(dir, 'small'), 3_000_000)
    await withTransport(`${urlOf('cache', '&storage-class=STANDARD')}`, s3.alice, async (transport) => {
      let sent = 0
      await transport.put('nar/a+b=c.nar.zst', body, never, (count) => {
        sent += count
      })
      expect(sent).toBe(body.size)
      expect(await transport.get('x.narinfo', never)).toBeUndefined()
      await putText(transport, 'x.narinfo', 'StorePath: ü')
      await putText(transport, 'x.narinfo', 'StorePath: ö')
      expect(await transport.get('x.narinfo', never)).toBe('StorePath: ö')
    })
    expect(await download('nar/a+b=c.nar.zst')).toMatchObject({
      digest,
      ContentType: 'application/x-nix-nar',
    })
    expect(await download('x.narinfo')).toMatchObject({ ContentType: 'text/x-nix-narinfo' })
  })

  test('a prefix in the URL comes before each name', async () => {
    const to = `s3://cache/some/where?endpoint=127.0.0.1:${s3.port}&scheme=http`
    await withTransport(to, s3.alice, (transport) =>
      putText(transport, 'nix-cache-info', 'StoreDir: /nix/store'),
    )
    expect(await download('some/where/nix-cache-info')).toMatchObject({ ContentLength: 20 })
  })

  test('the key may be that of a profile, and be mended while we run', async () => {
    const home = join(dir, 'home')
    await mkdir(join(home, '.aws'), { recursive: true })
    const write = (secret: string) =>
      writeFile(
        join(home, '.aws/credentials'),
        `[builder]\naws_access_key_id = ${s3.alice.accessKeyId}\naws_secret_access_key = ${secret}\n`,
      )
    await write('wrong')
    await withEnvironment(environmentOf(NOBODY, home), async () => {
      const transport = createS3Transport({
        to: urlOf('cache', '&profile=builder'),
        progressTimeoutMs: 20_000,
      })
      await expectFailure(putText(transport, 'p.narinfo'), { says: /SignatureDoesNotMatch/ })
      await write(s3.alice.secretAccessKey)
      await putText(transport, 'p.narinfo')
      transport.close()
    })
  })

  test('200 MB go in parts, without a part of it in memory', async () => {
    const { body, digest } = await makeFile(join(dir, 'large'), 200_000_000)
    const to = urlOf('cache', '&multipart-upload=true&multipart-chunk-size=8388608')
    const { verdict, peakBytes } = await putOnce({}, to, body.file)
    expect(verdict).toBeUndefined()
    // Node with the AWS SDK takes 120 MB by itself, of which a fifth is for running TypeScript as it is.
    expect(peakBytes).toBeLessThan(150 * 1024 * 1024)
    expect(await download('nar/once')).toMatchObject({ digest, ContentLength: body.size })
  })

  test('a part that breaks off is sent again, and what is given up leaves no parts behind', async () => {
    const { body, digest } = await makeFile(join(dir, 'parts'), 30_000_000)
    const gate = await openTcpGate(s3.port)
    const query = '&multipart-threshold=1000000&multipart-chunk-size=5242880'
    const to = `s3://cache?endpoint=http://127.0.0.1:${gate.port}${query}`
    await withTransport(to, s3.alice, async (transport) => {
      let [sent, retries] = [0, 0]
      gate.fault = { afterBytes: 2_000_000, how: 'cut' }
      await transport.put('nar/cut', body, never, (count) => {
        sent += count
        if (count >= 0) return
        retries++
        gate.fault = undefined
      })
      expect(retries).toBeGreaterThan(0)
      expect(sent).toBe(body.size)
      expect(await download('nar/cut')).toMatchObject({ digest })

      const ended = new AbortController()
      const put = transport.put('nar/aborted', body, ended.signal, (count) => {
        sent += count
        ended.abort(new Error('enough'))
      })
      await expect(put).rejects.toThrow('enough')
      expect(sent).toBe(body.size)
    })
    await gate.close()
    const { Uploads = [] } = await alice.send(new ListMultipartUploadsCommand({ Bucket: 'cache' }))
    expect(Uploads).toEqual([])
  })
})

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

  test.each(['+1h', '-1h'])(
    'with a clock that is off by %s, which is made up for the next time',
    async (off) => {
      const { body } = await makeFile(join(dir, 'clock'), 1000)
      const env = { FAKETIME_DONT_FAKE_MONOTONIC: '1' }
      const { verdict, again } = await putOnce(env, urlOf('cache'), body.file, ['faketime', '-f', off])
      const how = off === '+1h' ? 'ahead of' : 'behind'
      const seconds = '(?:3599|360\\d)'
      expect(verdict?.message).toMatch(
        new RegExp(`clock.* ${seconds} s ${how} that of S3.*timedatectl.*RequestTimeTooSkewed`),
      )
      expect(verdict?.blame).toBe('destination')
      expect(again).toBeUndefined()
    },
  )
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

test('what is uploaded compressed by Nix can be read', async () => {
  const { gzipSync } = await import('node:zlib')
  const Body = gzipSync('StorePath: z')
  await alice.send(new PutObjectCommand({ Bucket: 'cache', Key: 'z.narinfo', Body, ContentEncoding: 'gzip' }))
  await withTransport(urlOf('cache'), s3.alice, async (transport) => {
    expect(await transport.get('z.narinfo', never)).toBe('StorePath: z')
  })
})
