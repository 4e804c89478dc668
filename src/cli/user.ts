import { readFileSync } from 'node:fs'
import { NotStartedError, run } from '../util/run-program.ts'

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

async function entryOf(key: string): Promise<string> {
  try {
    return (await run('getent', ['passwd', key])).stdout
  } catch (error) {
    if (!(error instanceof NotStartedError)) throw error
    const entries = readFileSync('/etc/passwd', 'utf8').split('\n')
    return entries.find((entry) => entry.startsWith(`${key}:`) || entry.split(':')[2] === key) ?? ''
  }
}
