// What is known of a destination, for how long, and how it is found out that it isn't so any more.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
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
  const route = bed.route()
  await route.send(one)
  await rm(bed.cache.dir, { recursive: true })
  await route.send(two)
  expect(bed.cached(both)).toEqual(expect.arrayContaining([...(await bed.closure(two))]))
  expect(bed.cached(one)).toEqual([])
})

test('a job that is queued again is asked for anew, and where it is gone all else is, too', async () => {
  const { bed, one } = await siteWithTwo()
  const route = bed.route()
  await route.send(one)
  const closure = await bed.closure(one)
  await Promise.all(closure.map((path) => rm(join(bed.cache.dir, narinfoOf(path)))))
  await route.send(one)
  expect(bed.cached(closure)).toEqual(closure)
})

test('what is remembered is asked for again when it is old', async () => {
  const { bed, one, two } = await siteWithTwo()
  const route = bed.route({ presenceAgeMs: 0 })
  await route.send(one)
  bed.cache.calm()
  await route.send(two)
  expect(bed.cache.count('GET', /narinfo/)).toBe(2)
})

test('a cache for another store is refused, and a page in place of a narinfo is none', async () => {
  const { bed, one } = await siteWithTwo()
  bed.cache.behave({ status: 200, body: '<html>welcome</html>' }, { method: 'GET' })
  await bed.route().send(one)
  expect(bed.cached(one)).toEqual(one)
  bed.cache.calm()
  bed.cache.behave({ status: 200, body: 'StoreDir: /elsewhere\n' }, { path: /nix-cache-info/ })
  await expect(bed.route().send(one)).rejects.toThrow(/a cache for \/elsewhere/)
})

test('asking whether it is well takes one request', async () => {
  const { bed } = await siteWithTwo()
  await bed.route().probe()
  expect(bed.cache.seen.map(({ path }) => path)).toEqual(['/nix-cache-info'])
  await bed.cache.stop()
  await expect(bed.route().probe()).rejects.toThrow('connection')
})
