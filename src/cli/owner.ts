import { statSync } from 'node:fs'
import { codeOf } from '../util/user-error.ts'

/**
 * Root goes on as the user whom a spool belongs to. Whoever owns a directory can at any moment put a symlink in the
 * place of what is in it, and then root would move, delete or make files anywhere; as that user nobody gains a thing.
 * @param spoolRoot Where there is none, or it is root's own, nothing changes.
 * @returns Makes the process root's again.
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

/** Does something as `becomeOwner` has it, and is root again. */
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
