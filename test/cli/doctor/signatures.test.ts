// Signatures that doctor looks for in a binary cache itself: no Nix is asked, so one is enough.

import { beforeAll, expect, test } from 'vitest'
import { build } from '../cli.ts'
import { destination, type Healthy, makeHealthy, narinfoIn, seesWhatIsUnsigned } from './bed.ts'

let machine: Healthy
beforeAll(async () => {
  await build()
  machine = await makeHealthy()
  return () => machine.cleanup()
})

test('what stands unsigned is seen, and what is gone: over http, and in a folder', async () => {
  const { cache, config, key, path, site } = machine
  const folder = await site.configured(destination(`file://${cache.dir}`, key.secretKeyFile))
  for (const each of [config, folder]) await seesWhatIsUnsigned(machine, each, narinfoIn(cache.dir, path))
})

test('that signatures can not be looked for is said', async () => {
  await machine.cache.stop()
  const { failed, of } = await machine.doctor()
  await machine.cache.start()
  expect(failed).toEqual(['destination cache'])
  expect(of('signatures at cache')).toMatchObject({
    state: 'skipped',
    what: expect.stringMatching(/^could not be checked: .*ECONNREFUSED/),
  })
  const bare = await machine.site.configured(destination(machine.cache.url))
  expect((await machine.doctor(bare)).of('signatures at cache').what).toBe('uploads there are not signed')
  const lost = await machine.site.configured(destination(machine.cache.url, '/no/key'))
  expect((await machine.doctor(lost)).of('signatures at cache').what).toMatch(
    /could not be checked: .*\/no\/key/,
  )
})
