// A daemon that starts with a long queue: the first upload begins before a whole batch was claimed.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeSite } from '../integration/site.ts'
import { executable } from '../support/servers/remote-nix.ts'
import { batchesIn, DEBUG, handOverAll } from './bed.ts'

const JOBS = 350

test('the first of many jobs go out alone, and the others not in crumbs', async () => {
  const site = await makeSite()
  await site.makeSpool()
  const [path = ''] = await site.paths(1)
  await handOverAll(
    site,
    Array.from({ length: JOBS }, () => [path]),
  )
  const program = await executable(join(site.nix.dir, 'upload'), '#!/bin/sh\n')
  const config = await site.configured(`${DEBUG}[[destination]]\ncommand = ["${program}"]\n`)
  const drained = await site.run(['drain', ...config])
  expect(drained).toMatchObject({ exitCode: 0 })
  const sizes = batchesIn(drained.stderr).map(({ jobs }) => jobs)
  expect(sizes).toContain(100)
  // As long as more are being claimed, fewer than a hundred are no batch: that is the rest alone.
  expect(sizes.filter((size) => size < 100).length).toBeLessThanOrEqual(1)
  expect(site.counts()).toEqual({ new: 0, cur: 0, done: JOBS, failed: 0 })
})
