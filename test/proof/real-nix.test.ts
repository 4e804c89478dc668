// A few of the points of kill.test.ts with a real Nix, which shows that the stand-in is no easier to satisfy.

import { readdirSync, readFileSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { STATES, spoolAt } from '../../src/spool/layout.ts'
import { makeSite, NIX_UPLOAD } from '../integration/site.ts'
import { isInCache } from './cache-check.ts'
import { type Ground, type Handed, violations } from './invariants.ts'
import { evidence, IS_WHOLE, spread } from './share.ts'
import { type Point, type Program, pointsOf, runTraced, SETS, temporariesIn } from './strace.ts'

test('drain, killed at some of its system calls, loses nothing', {
  timeout: IS_WHOLE ? 3_600_000 : 120_000,
}, async () => {
  const site = await makeSite()
  await site.makeSpool()
  const spool = spoolAt(site.spool)
  const handed: Handed[] = []
  const ground: Ground = {
    spool,
    gcroots: site.gcroots,
    storeDir: site.nix.storeDir,
    hasArrived: (path) => isInCache(site.cache, path),
    cache: site.cache,
    handed,
    foreign: new Map(),
  }
  /** Two jobs of the hook, and a drain that is watched where it touches them. */
  const prepare = async (): Promise<Program> => {
    for (const path of await site.paths(2)) await site.hook([path])
    await site.handOver(`garbage-${handed.length}`, '{')
    const names = site.names('new')
    for (const name of names) {
      const bytes = readFileSync(join(spool.new, name))
      handed.push({ name, bytes, isRooted: !name.startsWith('garbage') })
    }
    const files = STATES.flatMap((state) => names.map((name) => join(spool[state], name)))
    const paths = [
      ...temporariesIn(spool.tmp),
      ...files,
      ...['tmp', ...STATES].map((name) => join(site.spool, name)),
    ]
    return { command: NIX_UPLOAD, args: ['drain'], env: site.env, dir: site.nix.dir, paths }
  }
  const whole = await runTraced(await prepare(), SETS.kill)
  expect(violations(ground, 'recovered'), whole.stderr).toEqual([])
  const points: Point[] = pointsOf(whole.calls[0] ?? [])
  const chosen = spread(points, 5).filter((_, at) => !IS_WHOLE || at % 4 === 0)
  let hit = 0
  for (const { kind, nth } of chosen) {
    const killed = await runTraced(await prepare(), SETS.kill, {
      set: kind,
      what: 'signal=SIGKILL',
      when: `${nth}`,
    })
    if (killed.isHit) hit++
    expect(violations(ground, 'crashed'), `${kind} ${nth}`).toEqual([])
    if (readdirSync(site.spool).includes('daemon.lock')) utimesSync(spool.lockDir, 0, 0)
    const { stderr } = await site.run(['drain'])
    expect(violations(ground, 'recovered'), `${kind} ${nth}\n${stderr}`).toEqual([])
    expect({ new: site.names('new'), cur: site.names('cur') }, stderr).toEqual({ new: [], cur: [] })
  }
  evidence(
    `drain with Nix ${site.nix.version.version}: ${points.length} crash points, ${hit} of ${chosen.length} hit`,
  )
  expect(site.names('done')).toHaveLength(2 * (chosen.length + 1))
  expect(site.names('failed')).toHaveLength(chosen.length + 1)
})
