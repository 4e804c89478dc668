import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Config } from '../config/config.ts'
import { isCredential } from '../config/credential.ts'
import { NotStartedError, run } from '../util/run-program.ts'
import { codeOf } from '../util/user-error.ts'
import { findUser } from './user.ts'

/** The user of the units. */
const SERVICE_USER = 'nix-upload'

interface Reader {
  uid: number
  groups: readonly number[]
}

/**
 * Keys and logins that the service's user can't read. Otherwise only the service would notice, at its start.
 * @returns A sentence for each; none if there is no such user, as on a machine that only builds a configuration.
 */
export async function closedToService({ destinations }: Config): Promise<string[]> {
  const user = await findUser(SERVICE_USER)
  if (!user) return []
  const reader = { uid: user.uid, groups: [user.gid, ...(await groupsOf(SERVICE_USER))] }
  return destinations.flatMap(({ name, secretKeyFile, netrcFile }) =>
    [secretKeyFile, netrcFile].flatMap((file) => {
      if (file === undefined || isCredential(file) || mayRead(file, reader)) return []
      return [
        `destination "${name}": the service's user, ${SERVICE_USER}, can't read ${file}: chown it to ${SERVICE_USER}, or pass it as a credential (docs/SYSTEMD.md, Secrets)`,
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

/** True also for a file that is missing or hidden from us: nothing is known about it. */
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

/** @param right As in the last digit of a file mode. */
function allows(path: string, { uid, groups }: Reader, right: number): boolean {
  const stats = statSync(path)
  if (uid === 0) return true
  const shift = stats.uid === uid ? 6 : groups.includes(stats.gid) ? 3 : 0
  return (stats.mode & (right << shift)) !== 0
}
