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

/** By name or number, from wherever this machine has its users. */
export async function findUser(key: string): Promise<User | undefined> {
  const [name, , uid, gid, , home] = (await entryOf(key)).trim().split(':')
  if (name === undefined || uid === undefined) return undefined
  return { name, uid: Number(uid), gid: Number(gid), home: home ?? '/' }
}

/**
 * Says who may do what the kernel forbade: the owner of the directory that it was to be done in.
 * @returns To be put behind the error's words; empty where that is no help.
 */
export async function whoMay(error: unknown): Promise<string> {
  const path = error instanceof Error && 'path' in error ? String(error.path) : ''
  if (codeOf(error) !== 'EACCES' || path === '') return ''
  const directory = dirname(path)
  const uid = ownerOf(directory)
  if (uid === undefined || uid === process.geteuid?.()) return ''
  const owner = (await findUser(`${uid}`))?.name ?? `user ${uid}`
  return `; ${directory} belongs to ${owner}: run this as ${owner}${uid === 0 ? '' : ' or as root'}`
}

/** @returns undefined also where a directory above it is closed to us. */
function ownerOf(path: string): number | undefined {
  try {
    return statSync(path).uid
  } catch (error) {
    if (codeOf(error) === undefined) throw error
    return undefined
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
