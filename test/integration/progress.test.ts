import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { must } from '../support/run.ts'
import { until } from './daemon.ts'
import { makeSite, type Site } from './site.ts'

async function destination(site: Site, args: string[]) {
  const { stdout } = must(await site.run(['status', '--json', ...args]), 'status')
  return JSON.parse(stdout).destinations[0]
}

test('status says how far a copy is while it runs, and when something last went through', async () => {
  const site = await makeSite()
  await site.makeSpool()
  // xz takes a second for some MB, so that there is something to see.
  const args = await site.configured(`[[destination]]\nto = "file://${site.cache}?compression=xz"\n`)
  const daemon = await site.watch(args)
  const paths = await site.nix.addAllToStore({ big: randomBytes(3e6).toString('base64'), small: 'x' })
  await site.hook(paths)
  const seen: { sentBytes: number; expectedBytes: number; jobs: number; paths: number }[] = []
  // Asked again at once each time, where `until` would leave pauses.
  while (site.names('done').length === 0) seen.push(...(await destination(site, args)).running)
  const middle = seen.filter(({ sentBytes, expectedBytes }) => sentBytes > 0 && sentBytes < expectedBytes)
  expect(middle.length).toBeGreaterThan(0)
  expect(middle[0]).toMatchObject({ jobs: 1, paths: 2, expectedBytes: expect.closeTo(4_000_400, -4) })
  await until(async () => (await destination(site, args)).running.length === 0, 'an end of it', 60_000)
  const { lastSuccessAt } = await destination(site, args)
  expect(Date.now() - Date.parse(lastSuccessAt)).toBeLessThan(60_000)
  await daemon.stop()
  // The next daemon knows of it still, before anything else went out.
  await site.watch(args)
  expect(await destination(site, args)).toMatchObject({ lastSuccessAt, running: [] })
})
