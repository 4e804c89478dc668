import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { NotStartedError, run } from '../util/run-program.ts'
import { codeOf } from '../util/user-error.ts'

/** A user of this machine. */
export interface User {
  name: string
  uid: number
  gid: number
  home: string
}

/** Looks up a user by name or number, in all user databases of this machine. */
export async function findUser(key: string): Promise<User | undefined> {
  const [name, , uid, gid, , home] = (await entryOf(key)).trim().split(':')
  if (name === undefined || uid === undefined) return undefined
  return { name, uid: Number(uid), gid: Number(gid), home: home ?? '/' }
}

/**
 * Says who may do what the kernel refused: the owner of the directory.
 * @returns Text to append to the error; empty if it is of no use.
 */
export async function whoMay(error: unknown): Promise<string> {
  const path = error instanceof Error && 'path' in error ? String(error.path) : ''
  if (codeOf(error) !== 'EACCES' || path === '') return ''
  const place = nearest(dirname(path))
  if (place === undefined || place.uid === process.geteuid?.()) return ''
  const { directory, uid } = place
  const owner = (await findUser(`${uid}`))?.name ?? `user ${uid}`
  return `; ${directory} belongs to ${owner}: run this as ${owner}${uid === 0 ? '' : ' or as root'}`
}

/** A directory, or the nearest one above it that can be read: its permissions are the reason. */
function nearest(directory: string): { directory: string; uid: number } | undefined {
  try {
    const uid = statSync(directory, { throwIfNoEntry: false })?.uid
    return uid === undefined ? undefined : { directory, uid }
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    const above = dirname(directory)
    return above === directory ? undefined : nearest(above)
  }
}

async function entryOf(key: string): Promise<string> {
  try {
    return (await run('getent', ['passwd', key])).stdout
  } catch (error) {
    if (!(error instanceof NotStartedError)) throw error
    const entries = readFileSync('/etc/passwd', 'utf8').split('\n')
    return entries.find((entry) => entry.startsWith(`${key}:`) || entry.split(':')[2] === key) ?? ''
  }
}
