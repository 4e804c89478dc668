// What is known of a destination, for how long, and how it is found out that it isn't so any more.

import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { versions } from '../delivery/bed.ts'
import { makeBed, narinfoOf } from './writer-bed.ts'

const version = versions.at(-1) ?? expect.unreachable('there is a Nix')

async function siteWithTwo() {
  const bed = await makeBed(version)
  const library = { name: 'library' }
  const [one, two] = [
    await bed.nix.build({ name: 'one', deps: [library] }),
    await bed.nix.build({ name: 'two', deps: [library] }),
  ]
  return {
    bed,
    one: one.outPaths,
    two: two.outPaths,
    both: await bed.closure([...one.outPaths, ...two.outPaths]),
  }
}

test('a wiped cache is found out at the next upload, by its nix-cache-info', async () => {
  const { bed, one, two, both } = await siteWithTwo()
  const writer = bed.writer()
  await writer.send(one)
  await rm(bed.cache.dir, { recursive: true })
  await writer.send(two)
  expect(bed.cached(both)).toEqual(expect.arrayContaining([...(await bed.closure(two))]))
  expect(bed.cached(one)).toEqual([])
})

test('a job that is queued again is asked for anew, and where it is gone all else is, too', async () => {
  const { bed, one } = await siteWithTwo()
  const writer = bed.writer()
  await writer.send(one)
  const closure = await bed.closure(one)
  await Promise.all(closure.map((path) => rm(join(bed.cache.dir, narinfoOf(path)))))
  await writer.send(one)
  expect(bed.cached(closure)).toEqual(closure)
})

test('what is remembered is asked for again when it is old', async () => {
  const { bed, one, two } = await siteWithTwo()
  const writer = bed.writer({ presenceAgeMs: 0 })
  await writer.send(one)
  bed.cache.calm()
  await writer.send(two)
  expect(bed.cache.count('GET', /narinfo/)).toBe(2)
})

test('what is remembered grows old while the machine sleeps, too', async () => {
  const { bed, one, two } = await siteWithTwo()
  const writer = bed.writer({ presenceAgeMs: 3_600_000 })
  await writer.send(one)
  bed.cache.calm()
  vi.setSystemTime(Date.now() + 7_200_000)
  onTestFinished(() => void vi.useRealTimers())
  await writer.send(two)
  expect(bed.cache.count('GET', /narinfo/)).toBe(2)
})

const PAGE = '<!DOCTYPE html><html><title>Welcome to our hotel</title></html>'

test.each([
  ['everything', /^/],
  ['a narinfo', /narinfo$/],
  ['nix-cache-info', /nix-cache-info$/],
])('where a page answers in place of %s, it is no cache: the destination waits', async (_, path) => {
  const { bed, one } = await siteWithTwo()
  await bed.writer().send([])
  bed.cache.behave({ status: 200, body: PAGE }, { path })
  const failure = { verdict: { blame: 'destination', message: expect.stringContaining('no binary cache') } }
  await expect(bed.writer().send(one)).rejects.toMatchObject(failure)
  bed.cache.calm()
  await bed.writer().send(one)
  expect(bed.cached(await bed.closure(one))).toHaveLength(2)
})

test('where a page begins to answer while a batch is under way, the batch is not done', async () => {
  const { bed, one } = await siteWithTwo()
  bed.cache.behave({ status: 200, body: PAGE }, { method: 'GET', path: /nix-cache-info/, skip: 1 })
  await expect(bed.writer().send(one)).rejects.toThrow('no binary cache')
})

test('a cache for another store is refused', async () => {
  const { bed, one } = await siteWithTwo()
  bed.cache.behave({ status: 200, body: 'StoreDir: /elsewhere\n' }, { path: /nix-cache-info/ })
  await expect(bed.writer().send(one)).rejects.toThrow(/a cache for \/elsewhere/)
})

test.each([
  ['an empty one', ''],
  ['one of zeros', '\0\0\0\0'],
  ['half of one', 'StorePath: /nix/sto'],
])('a narinfo that a power cut left, %s, is written anew', async (_, left) => {
  const { bed, one } = await siteWithTwo()
  await bed.writer().send(one)
  const [path = ''] = one
  const text = bed.narinfo(path)
  await writeFile(join(bed.cache.dir, narinfoOf(path)), left)
  await bed.writer().send(one)
  expect(bed.narinfo(path)).toBe(text)
})

test('asking whether it is well writes nothing new, and finds out whether it may be written to', async () => {
  const { bed } = await siteWithTwo()
  await bed.writer().send([])
  bed.cache.calm()
  await bed.writer().probe()
  expect(bed.cache.seen.map(({ method, path }) => `${method} ${path}`)).toContain('PUT /nix-cache-info')
  expect(bed.cache.seen.every(({ path }) => path === '/nix-cache-info')).toBe(true)
  bed.cache.behave({ status: 403 }, { method: 'PUT' })
  await expect(bed.writer().probe()).rejects.toThrow('does not let us write')
  await bed.cache.stop()
  await expect(bed.writer().probe()).rejects.toThrow('connection')
})
