// `watch` itself, killed like the other programs in kill.test.ts: it starts with a job in cur/ that a dead daemon left and one
// in new/, delivers both, is asked to stop and does so.

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { violations } from './invariants.ts'
import { everyPoint, goesOn, inWorld } from './programs.ts'
import { IS_WHOLE } from './share.ts'
import { type Point, type Program, pointsOf, runTraced, SETS } from './strace.ts'
import { FATES, NIX_UPLOAD, type World } from './world.ts'

const JOBS = FATES.filter(({ name }) => ['a-delivered.json', 'd-claimed.json'].includes(name))

/** Beside it something asks it to stop once both jobs are done, and ends with it. */
const STOPPED = `{ until [ -e "$1" ] && [ -e "$2" ]; do sleep 0.1; kill -0 $$ || exit; done; kill $$; } 2>/dev/null &
shift 2; exec "$0" "$@"`

function watching(world: World): Program {
  const done = JOBS.map(({ name }) => join(world.spool.done, name))
  const args = ['-c', STOPPED, NIX_UPLOAD, ...done, 'watch', '--to', `file://${world.cache}`]
  return { ...world.program(args), command: '/bin/sh' }
}

/** Runs it, with a SIGKILL at a point. */
function run(world: World, at?: Point) {
  world.settle(JOBS)
  const kill = at && { set: at.kind, what: 'signal=SIGKILL', when: `${at.nth}` }
  return runTraced(watching(world), `${SETS.kill},inotify_add_watch`, kill)
}

test('watch: recover, claim, deliver, settle, stop', {
  timeout: IS_WHOLE ? 3_600_000 : 120_000,
}, async () => {
  const points = await inWorld(async (world) => {
    const { calls, exitCode, stderr } = await run(world)
    expect(exitCode, stderr).toBe(0)
    expect(stderr).toContain('stopping: running copies may finish')
    await goesOn(world, JOBS)
    return pointsOf(calls[0] ?? [])
  })
  await everyPoint('watch', points, 3, async (at, world) => {
    const { isHit } = await run(world, at)
    expect(violations(world.ground, 'crashed'), `killed at ${at.kind} ${at.nth}`).toEqual([])
    await goesOn(world, JOBS)
    return isHit
  })
})
