import { lstatSync } from 'node:fs'
import { type Spool, STATES } from '../../spool/layout.ts'

const WHAT_NOW = 'jobs can get stuck: run `nix-upload doctor`'
const WRITABLE_FOR_OTHERS = 0o022

/**
 * Says that the daemon can't move jobs in a directory of the spool, since another user owns it.
 * @param uid The user that the daemon runs as; undefined if none runs: then all directories must have one owner.
 * @returns undefined if there is nothing to say. Directories that a group may write to don't count.
 */
export function ownerProblem(spool: Spool, uid: number | undefined): string | undefined {
  if (uid === 0) return undefined
  const directories = (['tmp', ...STATES] as const).flatMap((name) => {
    const stats = lstatSync(spool[name], { throwIfNoEntry: false })
    return stats && (stats.mode & WRITABLE_FOR_OTHERS) === 0 ? [{ path: spool[name], uid: stats.uid }] : []
  })
  const foreign = directories.find((directory) => directory.uid !== (uid ?? directories[0]?.uid))
  if (!foreign) return undefined
  return uid === undefined
    ? `the directories in ${spool.root} belong to different users; ${WHAT_NOW}`
    : `${foreign.path} belongs to another user than the daemon's; ${WHAT_NOW}`
}
