// Whose the spool's directories are. As root: only root gives a directory to another user.

import { chmodSync, chownSync } from 'node:fs'
import { expect, test } from 'vitest'
import { userOf } from '../../../src/daemon/identity.ts'
import { ownerProblem } from '../../../src/daemon/status/owners.ts'
import { STATES } from '../../../src/spool/layout.ts'
import { tempSpool } from '../../spool/temp-spool.ts'

const [DAEMON, OTHER] = [65534, 65533]

/** A spool whose directories belong to the daemon's user. */
function spoolOfDaemon() {
  const { spool } = tempSpool()
  for (const name of ['tmp', ...STATES] as const) chownSync(spool[name], DAEMON, DAEMON)
  return spool
}

test('nothing is said of a spool that belongs to the daemon, or to one user, or that root delivers', () => {
  const spool = spoolOfDaemon()
  expect([ownerProblem(spool, DAEMON), ownerProblem(spool, undefined)]).toEqual([undefined, undefined])
  chownSync(spool.cur, OTHER, OTHER)
  expect(ownerProblem(spool, 0)).toBeUndefined()
})

test('a directory of another user is named, while a daemon runs that can’t move jobs in it', () => {
  const spool = spoolOfDaemon()
  chownSync(spool.failed, OTHER, OTHER)
  expect(ownerProblem(spool, DAEMON)).toBe(
    `${spool.failed} belongs to another user than the daemon's; jobs can get stuck: run \`nix-upload doctor\``,
  )
  chmodSync(spool.failed, 0o775)
  expect(ownerProblem(spool, DAEMON)).toBeUndefined()
})

test('without a daemon, directories of different users are enough', () => {
  const spool = spoolOfDaemon()
  chownSync(spool.new, 0, 0)
  expect(ownerProblem(spool, undefined)).toMatch(
    /^the directories in \S+ belong to different users; jobs can/,
  )
})

test('the user of a process', () => {
  expect([userOf(process.pid), userOf(2 ** 22 + 1)]).toEqual([process.geteuid?.(), undefined])
})
