import { lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeOf } from '../util/user-error.ts'

/** Whose it is: the PID namespace, and the process in it. */
const NAME = /^nix-upload-(\d+)-(\d+)-\w+$/

/**
 * Makes an empty directory for one run of Nix, as its XDG_CACHE_HOME. Nix stores there what a cache has, even
 * that it was set up (nix-cache-info). If this outlived the run, Nix would skip uploads after a cache was wiped.
 */
export function makeCacheHome(): string {
  return mkdtempSync(join(tmpdir(), `nix-upload-${namespace()}-${process.pid}-`))
}

export async function removeCacheHome(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true })
}

/** Removes the directories that this user's killed processes left. Returns how many. */
export function sweepCacheHomes(): number {
  const abandoned = readdirSync(tmpdir()).filter(isAbandoned)
  for (const name of abandoned) rmSync(join(tmpdir(), name), { recursive: true, force: true })
  return abandoned.length
}

function isAbandoned(name: string): boolean {
  const [, madeIn, pid] = NAME.exec(name) ?? []
  // Processes in another container can't be seen from here.
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
