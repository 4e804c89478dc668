// An idle daemon starts at once: there is no delay that collects jobs first, and no polling.

import { renameSync, watch, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, type TestContext, test } from 'vitest'
import { until } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

const ROUNDS = 20
/** Rescans would find a job too; they are put off for longer than the test takes. */
const NO_RESCAN = 'rescan-interval = "1h"\n'

test('a job that is renamed into new/ is claimed within 100 ms', { timeout: 60_000 }, async (context) => {
  const site = await idleSite()
  const claims = claimsAt(site)
  const paths = await site.paths(ROUNDS)
  const waits: number[] = []
  for (const [at, path] of paths.entries()) {
    const name = `by-hand-${at}`
    writeFileSync(site.path('tmp', name), JSON.stringify({ outPaths: [path] }))
    waits.push(await claims.after(() => renameSync(site.path('tmp', name), site.path('new', name)), name))
    await site.settle('done', at + 1)
  }
  await expectPrompt(waits, context)
})

test('a job that is moved back from failed/ is claimed within 100 ms', {
  timeout: 60_000,
}, async (context) => {
  const site = await idleSite()
  const claims = claimsAt(site)
  const gone = `${site.nix.storeDir}/${'0'.repeat(32)}-never-built`
  await site.handOver('gone', JSON.stringify({ outPaths: [gone] }))
  const waits: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    await site.settle('failed', 1)
    waits.push(
      await claims.after(() => renameSync(site.path('failed', 'gone'), site.path('new', 'gone')), 'gone'),
    )
  }
  await expectPrompt(waits, context)
})

async function idleSite(): Promise<Site> {
  const site = await makeSite()
  await site.makeSpool()
  await site.watch(await site.configured(NO_RESCAN))
  return site
}

/** Tells how long it takes from a rename until the job is in cur/, in ms. */
function claimsAt(site: Site) {
  const seen = new Map<string, number>()
  const watcher = watch(site.path('cur'), (_event, name) => {
    if (name !== null && !seen.has(name)) seen.set(name, performance.now())
  })
  onTestFinished(() => watcher.close())
  return {
    async after(rename: () => void, name: string): Promise<number> {
      // What an earlier round did to cur/ may still be on its way to us.
      await sleep(20)
      seen.clear()
      const renamedAt = performance.now()
      rename()
      await until(() => seen.has(name), `the claim of ${name}`)
      return (seen.get(name) ?? 0) - renamedAt
    },
  }
}

async function expectPrompt(waits: number[], { annotate }: TestContext): Promise<void> {
  const sorted = waits.toSorted((a, b) => a - b)
  const [median = 0, worst = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)]
  await annotate(`claimed after ${median.toFixed(1)} ms (median), ${worst.toFixed(1)} ms (worst)`)
  expect(median).toBeLessThan(100)
  expect(worst).toBeLessThan(500)
}
