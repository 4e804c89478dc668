// What a cache lacks of a closure that is looked at in several parts.

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ASKED_AT_ONCE } from '../../src/nix/closure.ts'
import { nixVersions } from '../support/nix-versions.mjs'
import { makeBed } from './writer-bed.ts'

const newest = (await nixVersions()).at(-1) ?? expect.unreachable('there is a Nix')

/** Three paths that refer to some hundred others each, and one that refers to the three. */
async function makeWide() {
  const bed = await makeBed(newest)
  const count = Math.ceil((ASKED_AT_ONCE * 1.2) / 3)
  const middles: string[] = []
  for (const part of [1, 2, 3]) {
    const names = Array.from({ length: count }, (_, at) => `leaf-${part}-${at}`)
    const deps = await bed.nix.addAllToStore(Object.fromEntries(names.map((name) => [name, name])))
    middles.push(...(await bed.nix.build({ name: `middle-${part}`, deps })).outPaths)
  }
  const [top = ''] = (await bed.nix.build({ name: 'top', deps: middles })).outPaths
  const closure = await bed.closure([top])
  expect(closure.length).toBeGreaterThan(ASKED_AT_ONCE)
  return { bed, top, middles, closure }
}

test('all of a closure is uploaded and verified, however large it is', async () => {
  const { bed, top, closure } = await makeWide()
  expect(await bed.writer({ verify: true }).send([top])).toEqual(new Map())
  expect(bed.cached(closure)).toEqual(closure)
})

test('a path that is damaged fails what depends on it in a later part, and nothing else', async () => {
  const { bed, top, middles, closure } = await makeWide()
  const broken = closure.find((path) => path.endsWith('-leaf-1-5')) ?? ''
  await bed.damage(broken, 'echo more >> "$1"')
  const failures = await bed.writer().send([top])
  const dependents = middles.filter((path) => path.endsWith('-middle-1'))
  expect([...failures.keys()].sort()).toEqual([broken, ...dependents, top].sort())
  const others = closure.filter((path) => !failures.has(path))
  expect(bed.cached(closure)).toEqual(others)
})

test('if the cache was emptied, a later part may show it; then all is looked at anew', async () => {
  const { bed, top, closure } = await makeWide()
  const writer = bed.writer()
  await writer.send([top])
  const emptied = readdirSync(bed.cache.dir).filter((name) => name !== 'nix-cache-info')
  for (const name of emptied) rmSync(join(bed.cache.dir, name), { recursive: true })
  // The path that was asked for is in the last part. It is the only one that is not just remembered.
  await expect(writer.send([top])).rejects.toThrow('the cache lost something')
  expect(await writer.send([top])).toEqual(new Map())
  expect(bed.cached(closure)).toEqual(closure)
})
