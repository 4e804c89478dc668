// A cache in which one file is not what it should be: the paths that need that file wait, all others are uploaded.

import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { deliveries, versions } from '../delivery/bed.ts'
import { makeSite } from '../integration/site.ts'
import { type Mood, startMoodyCache } from '../support/servers/moody-cache.ts'
import { narinfoOf } from './writer-bed.ts'

const version = versions.at(-1) ?? expect.unreachable('there is a Nix')
const answer = (body: string, headers: Record<string, string> = {}): Mood => ({ status: 200, body, headers })

test.each([
  ['a page', answer('<html>Sorry</html>'), /\.narinfo it answers with "<html>Sorry<\/html>": see what/],
  ['that of another path', answer(narinfo('0'.repeat(32))), /it answers with the narinfo of \S+-other/],
  ['far too large', answer('x'.repeat(2_000_000)), /larger than 1048576 bytes/],
  ['encoded in an unusual way', answer('x', { 'content-encoding': 'utf-8' }), /it is utf-8/],
  ['damaged', answer(gzipSync('x').toString(), { 'content-encoding': 'gzip' }), /gzip: Error/],
])('where a narinfo is %s, its job waits by itself, and loses no attempt', async (_, mood, says) => {
  const site = await makeSite(version)
  await site.makeSpool()
  const cache = await startMoodyCache()
  onTestFinished(() => cache.cleanup())
  const [bad = '', ...others] = await site.paths(4)
  cache.behave(mood, { method: 'GET', path: new RegExp(narinfoOf(bad)) })
  await site.enqueue([bad, ...others])
  const config = await site.configured(`[[destination]]\nto = "${cache.url}"\n`)
  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 75 })
  expect(site.counts()).toEqual({ new: 1, cur: 0, done: 3, failed: 0 })
  const [waiting] = await deliveries(site, 'new')
  expect(waiting).toMatchObject({ attempts: 0, error: expect.stringMatching(says) })
  expect(waiting?.error).toContain(bad)
  // Somebody removes it.
  cache.calm()
  expect(await site.run(['drain', ...config])).toMatchObject({ exitCode: 0 })
})

function narinfo(hash: string): string {
  const path = `/nix/store/${hash}-other`
  return `StorePath: ${path}\nURL: nar/x.nar\nCompression: none\nNarHash: sha256:${'0'.repeat(52)}\nNarSize: 100\nReferences: \n`
}
