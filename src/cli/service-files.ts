import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../config/config.ts'
import { isCredential } from '../config/credential.ts'
import { NotStartedError, run } from '../util/run-program.ts'
import { codeOf } from '../util/user-error.ts'
import { findUser } from './user.ts'

/** Whom the units run as. */
const SERVICE_USER = 'nix-upload'

interface Reader {
  uid: number
  groups: readonly number[]
}

/**
 * Keys and logins that whoever runs this may be able to read, and the service's user is not: it would be found out at the start.
 * @returns A sentence each; none where there is no such user here, as where a configuration is only built.
 */
export async function closedToService({ destinations }: Config): Promise<string[]> {
  const user = await findUser(SERVICE_USER)
  if (!user) return []
  const reader = { uid: user.uid, groups: [user.gid, ...(await groupsOf(SERVICE_USER))] }
  return destinations.flatMap(({ name, secretKeyFile, netrcFile }) =>
    [secretKeyFile, netrcFile].flatMap((file) => {
      if (file === undefined || isCredential(file) || mayRead(file, reader)) return []
      return [
        `destination "${name}": user ${SERVICE_USER}, whom the service runs as, can't read ${file}: chown ${SERVICE_USER} it, or hand it over as a credential (docs/SYSTEMD.md, Secrets)`,
      ]
    }),
  )
}

async function groupsOf(user: string): Promise<number[]> {
  try {
    return (await run('id', ['-G', user])).stdout.trim().split(' ').map(Number)
  } catch (error) {
    if (!(error instanceof NotStartedError)) throw error
    return []
  }
}

/** True also of a file that is not there, or that we can't see: of those nothing is known. */
function mayRead(file: string, reader: Reader): boolean {
  try {
    for (let path = dirname(file); path !== '/'; path = dirname(path)) {
      if (!allows(path, reader, 0o1)) return false
    }
    return allows(file, reader, 0o4)
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return true
  }
}

/** @param right As in the last digit of a file's mode. */
function allows(path: string, { uid, groups }: Reader, right: number): boolean {
  const stats = statSync(path)
  if (uid === 0) return true
  const shift = stats.uid === uid ? 6 : groups.includes(stats.gid) ? 3 : 0
  return (stats.mode & (right << shift)) !== 0
}
