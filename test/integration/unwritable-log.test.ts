import { expect, test } from 'vitest'
import { makeSite } from './site.ts'

test('a log that can not be written, on a full disk say, keeps nothing from being uploaded', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const daemon = site.start(['watch'], ['sh', '-c', 'exec "$@" 2>/dev/full', 'sh'])
  const paths = await site.paths(2)
  for (const path of paths) await site.hook([path])
  await site.settle('done', paths.length)
  expect(paths.map((path) => site.isCached(path))).toEqual([true, true])
  expect(await daemon.stop()).toBe(0)
})
