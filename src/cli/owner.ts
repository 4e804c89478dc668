import { statSync } from 'node:fs'
import { codeOf } from '../util/user-error.ts'

/**
 * Root continues as the owner of the spool. The owner of a directory can replace its files by symlinks at any moment, and
 * root would then move, delete or create files anywhere. As that user, this does no harm.
 * @param spoolRoot If there is none, or root owns it, nothing changes.
 * @returns A function that makes the process root's again.
 */
export function becomeOwner(spoolRoot: string): () => void {
  const nothing = () => undefined
  const { geteuid, getegid, getgroups, setgroups, setegid, seteuid } = process
  if (geteuid?.() !== 0 || !getegid || !getgroups || !setgroups || !setegid || !seteuid) return nothing
  const owner = ownerOf(spoolRoot)
  if (!owner || owner.uid === 0) return nothing
  const before = { gid: getegid(), groups: getgroups() }
  setgroups([owner.gid])
  setegid(owner.gid)
  seteuid(owner.uid)
  return () => {
    seteuid(0)
    setegid(before.gid)
    setgroups(before.groups)
  }
}

/** Does something as the spool's owner, and is root again afterwards. */
export function asOwner<T>(spoolRoot: string, act: () => T): T {
  const back = becomeOwner(spoolRoot)
  try {
    return act()
  } finally {
    back()
  }
}

function ownerOf(path: string): { uid: number; gid: number } | undefined {
  try {
    return statSync(path)
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return undefined
  }
}
