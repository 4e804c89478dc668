import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { storeUrlProblem } from '../../../src/config/store-url.ts'
import { S3Transport } from '../../../src/transport/s3/s3-transport.ts'
import { withEnvironment } from '../../support/servers/failing-copy.ts'
import { expectFailure, makeFile, never, put, putText } from '../bed.ts'
import { radosgwBed } from './radosgw-bed.ts'
import { environmentOf, NOBODY, withTransport } from './s3-bed.ts'

const { dir, s3, alice, urlOf, download } = await radosgwBed()

describe('with the right key', () => {
  test('files go there and come back as they were', async () => {
    const { body, digest } = await makeFile(join(dir, 'small'), 3_000_000)
    await withTransport(`${urlOf('cache', '&storage-class=STANDARD')}`, s3.alice, async (transport) => {
      for (const name of ['nar/a+b=c.nar.zst', "log/!'(ü)* ~?#%2F.drv"])
        expect(await put(transport, name, body)).toMatchObject({ sent: body.size })
      expect(await transport.head("log/!'(ü)* ~?#%2F.drv", never)).toEqual({ size: body.size })
      expect(await transport.head('nar/none', never)).toBeUndefined()
      expect(await transport.get('x.narinfo', never)).toBeUndefined()
      await putText(transport, 'x.narinfo', 'StorePath: ü')
      await putText(transport, 'x.narinfo', 'StorePath: ö')
      expect(await transport.get('x.narinfo', never)).toBe('StorePath: ö')
    })
    expect(await download('nar/a+b=c.nar.zst')).toMatchObject({
      digest,
      ContentType: 'x/y',
    })
    expect(await download("log/!'(ü)* ~?#%2F.drv")).toMatchObject({ digest })
  })

  test('a prefix in the URL comes before each name', async () => {
    const to = `s3://cache/some/where?endpoint=127.0.0.1:${s3.port}&scheme=http`
    await withTransport(to, s3.alice, (transport) =>
      putText(transport, 'nix-cache-info', 'StoreDir: /nix/store'),
    )
    expect(await download('some/where/nix-cache-info')).toMatchObject({ ContentLength: 20 })
  })

  test.each([
    ['a:b', 'a:b/'],
    ['a@b/@scope', 'a@b/@scope/'],
    ['a%3Ab%40c', 'a:b@c/'],
    ['a%2Fb', 'a/b/'],
    ['c%2F', 'c//'],
    ['a%2525%3F%23', 'a%25?#/'],
    ["a+b;c=d'!(e)*", "a+b;c=d'!(e)*/"],
  ])('the prefix %s is %s in the bucket', async (prefix, before) => {
    const to = `s3://cache/${prefix}?endpoint=127.0.0.1:${s3.port}&scheme=http`
    expect(storeUrlProblem(to)).toBeUndefined()
    await withTransport(to, s3.alice, async (transport) => {
      await putText(transport, 'x.narinfo', 'StorePath: x')
      expect(await transport.get('x.narinfo', never)).toBe('StorePath: x')
    })
    expect(await download(`${before}x.narinfo`)).toMatchObject({ ContentLength: 12 })
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
      const transport = new S3Transport({
        to: urlOf('cache', '&profile=builder'),
        progressTimeoutMs: 20_000,
      })
      await expectFailure(putText(transport, 'p.narinfo'), { says: /SignatureDoesNotMatch/ })
      await write(s3.alice.secretAccessKey)
      await putText(transport, 'p.narinfo')
      transport.close()
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
