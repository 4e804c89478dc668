// Uploads to a real nginx, and to a server that misbehaves when told to.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { digestOf, expectFailure, makeFile, never, put, putText } from '../bed.ts'
import { httpBed, withNginx } from './http-bed.ts'

const { dir, cache, transportTo } = await httpBed()

describe('nginx', () => {
  test('gets a file as it is, and gives a text back', async () => {
    const { body, digest } = await makeFile(join(dir, 'nar'), 30_000_000)
    await withNginx({}, async (url, root) => {
      const transport = transportTo(`${url}/some/place/?compression=zstd&priority=10`)
      expect(await put(transport, 'nar/big.nar.zst', body)).toMatchObject({ sent: body.size })
      expect(await digestOf(join(root, 'some/place/nar/big.nar.zst'))).toBe(digest)
      expect(await transport.get('x.narinfo', never)).toBeUndefined()
      await putText(transport, 'x.narinfo', 'StorePath: ü\n')
      await putText(transport, 'x.narinfo', 'StorePath: ö\n')
      expect(await transport.get('x.narinfo', never)).toBe('StorePath: ö\n')
      const odd = 'log/abc-what?+is=this 100%.drv'
      await putText(transport, odd, 'odd')
      expect(await readFile(join(root, 'some/place', odd), 'utf8')).toBe('odd')
    })
  })

  test('gives what was uploaded compressed as it was before', async () => {
    await withNginx({ location: 'add_header Content-Encoding gzip;' }, async (url, root) => {
      await writeFile(join(root, 'z.narinfo'), gzipSync('StorePath: z'))
      expect(await transportTo(url).get('z.narinfo', never)).toBe('StorePath: z')
    })
  })

  test('blames the job for a file larger than nginx takes, having sent none of it', async () => {
    const { body } = await makeFile(join(dir, 'large'), 20_000_000)
    await withNginx({ maxBody: '1m' }, async (url) => {
      const counts: number[] = []
      const upload = { name: 'nar/large', contentType: 'x/y', body }
      const uploading = transportTo(url).put(upload, never, (count) => counts.push(count))
      const expected = {
        blame: 'job',
        permanent: true,
        isOfOneFile: true,
        says: /client_max_body_size.*413/,
      } as const
      await expectFailure(uploading, expected)
      expect(counts).toEqual([])
    })
  })

  test('says what to do where nginx takes no PUT', async () => {
    await withNginx({ location: '' }, async (url) => {
      await expectFailure(putText(transportTo(url), 'x.narinfo'), { says: /dav_methods PUT.*405/ })
    })
  })
})

test('tells the type of a file, as it was told', async () => {
  await putText(transportTo(`${cache.url}/p?x=y`), 'nix-cache-info')
  expect(cache.seen).toMatchObject([{ path: '/p/nix-cache-info', contentType: 'x/y' }])
})

test('a server that takes uploads and refuses to give them back is warned of once', async () => {
  cache.behave({ status: 403 }, { method: 'GET' })
  const warnings: string[] = []
  const transport = transportTo(cache.url, { onWarning: (message) => warnings.push(message) })
  for (const name of ['a.narinfo', 'b.narinfo']) {
    expect(await transport.get(name, never)).toBeUndefined()
    await putText(transport, name)
  }
  expect(warnings).toEqual([expect.stringMatching(/not read.*403/)])
})
