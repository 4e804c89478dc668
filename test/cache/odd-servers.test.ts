// Servers that answer in unusual ways, and what is there afterwards: what is done must be there, whatever they say.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { versions } from '../delivery/bed.ts'
import { must } from '../support/run.ts'
import { fakeServer } from '../transport/fake-server.ts'
import { makeBed } from './writer-bed.ts'

const version = versions.at(-1) ?? expect.unreachable('there is a Nix')

test('a server that answers HEAD in the same way to everything gets every archive', async () => {
  const bed = await makeBed(version)
  const { secretKeyFile, publicKey } = await bed.nix.keyPair('ours-1')
  const { outPaths } = await bed.nix.build({ name: 'large', sizeBytes: 6_000_000 })
  const withoutLength = { 'transfer-encoding': 'chunked' }
  bed.cache.behave({ status: 200, headers: withoutLength }, { method: 'HEAD' })
  const writer = bed.writer({ secretKeyFile })
  await writer.send(outPaths)
  expect(bed.archives()).toHaveLength(1)
  must(await bed.nix.substituteFrom(bed.cache.url, outPaths, publicKey), 'substitute it back')
  // It is asked for that once.
  await writer.send((await bed.nix.build({ name: 'other', sizeBytes: 6_000_000 })).outPaths)
  expect(bed.archives()).toHaveLength(2)
  expect(bed.cache.count('HEAD', /0{52}/)).toBe(1)
})

test('a server that may be written to but not read gets everything, each time', async () => {
  const bed = await makeBed(version)
  const { outPaths } = await bed.nix.build({ name: 'app', deps: [{ name: 'library' }] })
  bed.cache.behave({ status: 403 }, { method: 'GET' })
  bed.cache.behave({ status: 403 }, { method: 'HEAD' })
  const writer = bed.writer()
  await writer.send(outPaths)
  await writer.send(outPaths)
  const closure = await bed.closure(outPaths)
  expect(bed.cached(closure)).toEqual(closure)
  expect(bed.cache.count('PUT', /narinfo$/)).toBe(4)
})

test('a server that takes no body at all is to blame, not the jobs', async () => {
  const bed = await makeBed(version)
  bed.cache.behave({ status: 413 }, { method: 'PUT' })
  const [path = ''] = await bed.nix.addAllToStore({ a: 'a' })
  const failure = { verdict: { blame: 'destination', permanent: false } }
  await expect(bed.writer().send([path])).rejects.toMatchObject(failure)
})

test.each([
  ['a comment', '# Our cache\n'],
  ['an unknown field', 'X-Owner: us\n'],
  ['more fields and other ends of lines', 'Priority: 30\r\nWantMassQuery: 1\r\n'],
])('a nix-cache-info with %s is one, as for Nix, and stays as it is', async (_, lines) => {
  const bed = await makeBed(version)
  const [path = ''] = await bed.nix.addAllToStore({ a: 'a' })
  const file = join(bed.cache.dir, 'nix-cache-info')
  await writeFile(file, `${lines}StoreDir: ${bed.nix.storeDir}\n`)
  await bed.writer().send([path])
  expect(bed.cached([path])).toEqual([path])
  expect(bed.cache.count('PUT', /nix-cache-info/)).toBe(0)
})

test.each([
  ['has a query', (_: string, url: string) => `${url}?token=secret`],
  ['is one of another place', (other: string, url: string) => `${other}/${url}`],
])('verify finds archives whose URL, as the server rewrites it, %s', async (_, rewritten) => {
  const bed = await makeBed(version)
  const { secretKeyFile, publicKey } = await bed.nix.keyPair('ours-1')
  const { outPaths } = await bed.nix.build({ name: 'app', deps: [{ name: 'library' }] })
  // It lets nobody fetch an archive without the query, or at its own address.
  const server = await fakeServer(async ({ method, url, body }, response) => {
    const isArchive = url.startsWith('/nar/')
    if (isArchive && method !== 'PUT' && !url.endsWith('?token=secret'))
      return void response.writeHead(404).end()
    const answer = await fetch(bed.cache.url + url, {
      method,
      ...(method === 'PUT' ? { body: new Uint8Array(body) } : {}),
    })
    const text = Buffer.from(await answer.arrayBuffer())
    const isNarinfo = method === 'GET' && url.endsWith('.narinfo')
    const rewriteLine = (_: string, archive: string) => `\nURL: ${rewritten(bed.cache.url, archive)}\n`
    const said = isNarinfo ? text.toString().replace(/\nURL: (.*)\n/, rewriteLine) : text
    const size = answer.headers.get('content-length') ?? '0'
    response.writeHead(answer.status, method === 'HEAD' ? { 'content-length': size } : {})
    response.end(method === 'HEAD' ? undefined : said)
  })
  const writer = bed.writer({ secretKeyFile, verify: true, to: server.url })
  expect(await writer.send(outPaths)).toEqual(new Map())
  // Once more: all is there, so nothing is sent again.
  const puts = bed.cache.count('PUT')
  expect(await writer.send(outPaths)).toEqual(new Map())
  expect(bed.cache.count('PUT')).toBe(puts)
  must(await bed.nix.substituteFrom(server.url, outPaths, publicKey), 'substitute it back')
})
