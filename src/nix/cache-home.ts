import { lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeOf } from '../util/user-error.ts'

/** Whose it is: the PID namespace, and the process in it. */
const NAME = /^nix-upload-(\d+)-(\d+)-\w+$/

/**
 * Makes an empty directory for one run of Nix, to be its XDG_CACHE_HOME. Nix remembers there what a cache has, even
 * that it was set up (nix-cache-info): a memory that outlives the run makes it skip the upload after a cache was wiped.
 */
export function makeCacheHome(): string {
  return mkdtempSync(join(tmpdir(), `nix-upload-${namespace()}-${process.pid}-`))
}

export async function removeCacheHome(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
}

/** Removes what processes of this user's left that were killed in the midst of a run. Returns how many. */
export function sweepCacheHomes(): number {
  const abandoned = readdirSync(tmpdir()).filter(isAbandoned)
  for (const name of abandoned) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  return abandoned.length
}

function isAbandoned(name: string): boolean {
  const [, madeIn, pid] = NAME.exec(name) ?? []
  // Of the processes in another container nobody can tell from here.
  if (pid === undefined || madeIn !== namespace() || isRunning(Number(pid))) return false
  const stats = lstatSync(join(tmpdir(), name), { throwIfNoEntry: false })
  return stats?.isDirectory() === true && stats.uid === process.geteuid?.()
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
}

/** The number in `pid:[4026531836]`; 0 where there is no /proc. */
function namespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0'
  } catch {
    return '0'
  }
}
